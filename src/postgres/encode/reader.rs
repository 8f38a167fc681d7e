//! Reading the binary formats: fixed sizes, length-prefixed values, and the error for what is
//! neither. Knows no type.

use bytes::BytesMut;

/// A value that is not in its type's binary format; the text names the type, never the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

pub(super) type Encoded = Result<(), Malformed>;

/// The whole value as `N` bytes.
#[inline]
pub(super) fn fixed<const N: usize>(
    value: &[u8],
    type_: &'static str,
) -> Result<[u8; N], Malformed> {
    value.try_into().map_err(|_| Malformed(type_))
}

/// Takes parts off the front of a value.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    type_: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(value: &'a [u8], type_: &'static str) -> Self {
        Self { rest: value, type_ }
    }

    pub(super) fn malformed(&self) -> Malformed {
        Malformed(self.type_)
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed(self.type_))?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        self.take().map(i32::from_be_bytes)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.take::<1>().map(|[byte]| byte)
    }

    /// A value with its length in front; `None` for a null, whose length is -1.
    #[inline]
    pub(super) fn value(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let length = self.i32()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| self.malformed())?;
        let (value, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Malformed(self.type_))?;
        self.rest = rest;
        Ok(Some(value))
    }

    /// Everything that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Holds the value to its end.
    pub(super) fn end(self) -> Encoded {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.malformed())
        }
    }
}

/// A short text built on the stack, so that the buffer grows once per value and not once per byte.
pub(super) struct Short<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Short<N> {
    #[inline]
    pub(super) fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    #[inline]
    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// A number from 0 to 99, as two digits.
    #[inline]
    pub(super) fn two(&mut self, number: u32) {
        let at = number as usize * 2;
        self.bytes[self.len..self.len + 2].copy_from_slice(&TWO_DIGITS[at..at + 2]);
        self.len += 2;
    }

    /// An integer without padding.
    pub(super) fn integer(&mut self, number: i64) {
        self.bytes(itoa::Buffer::new().format(number).as_bytes());
    }

    /// A fraction of a second, with its point and without trailing zeros; nothing when it is zero.
    pub(super) fn fraction(&mut self, micros: u32) {
        if micros == 0 {
            return;
        }
        self.byte(b'.');
        self.two(micros / 10_000);
        self.two(micros / 100 % 100);
        self.two(micros % 100);
        while self.bytes[self.len - 1] == b'0' {
            self.len -= 1;
        }
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    #[inline]
    pub(super) fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(self.as_bytes());
    }
}

static TWO_DIGITS: [u8; 200] = {
    let mut digits = [0; 200];
    let mut number = 0;
    while number < 100 {
        digits[number * 2] = b'0' + (number / 10) as u8;
        digits[number * 2 + 1] = b'0' + (number % 10) as u8;
        number += 1;
    }
    digits
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_held_to_the_value() {
        let mut reader = Reader::new(&[0, 0, 0, 2, 7, 8, 255, 255, 255, 255, 0, 0, 0, 9], "x");
        assert_eq!(reader.value(), Ok(Some(&[7, 8][..])));
        assert_eq!(reader.value(), Ok(None));
        assert_eq!(reader.value(), Err(Malformed("x")));
        assert_eq!(
            Reader::new(&[255, 255, 255, 254], "x").value(),
            Err(Malformed("x"))
        );
        assert_eq!(Reader::new(&[1], "x").end(), Err(Malformed("x")));
    }

    #[test]
    fn fractions_lose_their_trailing_zeros() {
        let text = |micros| {
            let mut short = Short::<8>::new();
            short.fraction(micros);
            String::from_utf8(short.as_bytes().to_vec()).unwrap()
        };
        assert_eq!(text(0), "");
        assert_eq!(text(6), ".000006");
        assert_eq!(text(120_000), ".12");
    }
}
