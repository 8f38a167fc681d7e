//! How a section of settings is declared: once, as one table of names, types, defaults and meanings,
//! from which the struct, its defaults, the documentation and the names of the environment's
//! variables all follow.
//!
//! Knows no particular setting.

use super::secret::Secret;

/// What a setting is, apart from its value: for the documentation and for reading the environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The name inside its section, units last.
    pub name: &'static str,
    /// What it means: one paragraph.
    pub meaning: String,
    /// The shape of its value.
    pub shape: Shape,
    /// Its value; `None` where it is not set.
    pub value: Option<toml::Value>,
}

/// The shapes that a setting's value can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any text.
    Text,
    /// Text that is never printed.
    Secret,
    /// A whole number that is not negative.
    Number,
    /// A list of texts; separated by commas in the environment.
    Texts,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// A type that a setting can have.
pub(super) trait SettingValue {
    /// The shape of its values.
    const SHAPE: Shape;
    /// The value as it stands in the file; `None` where it is not set.
    fn to_toml(&self) -> Option<toml::Value>;
}

/// A group of settings that stand together in one table of the file.
pub(super) trait Section {
    /// What the section is about: one paragraph.
    const MEANING: &'static [&'static str];
    /// The settings in the order of their declaration, with the values that they have here.
    fn settings(&self) -> Vec<Setting>;
}

/// Joins the lines of a doc comment to one paragraph.
pub(super) fn paragraph(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}

/// Declares a section: `name: Type = default,` with the meaning as the doc comment.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        pub struct $section:ident {
            $( $(#[doc = $meaning:literal])+ $name:ident : $type:ty = $default:expr, )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $section {
            $( $(#[doc = $meaning])+ pub $name: $type, )+
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $( $name: $default, )+ }
            }
        }

        impl $crate::config::declare::Section for $section {
            const MEANING: &'static [&'static str] = &[$($about),+];

            fn settings(&self) -> Vec<$crate::config::declare::Setting> {
                use $crate::config::declare::{Setting, SettingValue, paragraph};
                vec![ $( Setting {
                    name: stringify!($name),
                    meaning: paragraph(&[$($meaning),+]),
                    shape: <$type as SettingValue>::SHAPE,
                    value: self.$name.to_toml(),
                }, )+ ]
            }
        }
    };
}
pub(super) use section;

/// Declares a setting of a few words: `Variant = "word"`.
macro_rules! words {
    (
        $(#[$about:meta])+
        pub enum $name:ident { $( $(#[$meaning:meta])+ $variant:ident = $word:literal, )+ }
    ) => {
        $(#[$about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
        pub enum $name { $( $(#[$meaning])+ #[serde(rename = $word)] $variant, )+ }

        impl $crate::config::declare::SettingValue for $name {
            const SHAPE: $crate::config::declare::Shape =
                $crate::config::declare::Shape::Word(&[$($word),+]);
            fn to_toml(&self) -> Option<toml::Value> {
                Some(match self { $( Self::$variant => $word.into(), )+ })
            }
        }
    };
}
pub(super) use words;

impl SettingValue for String {
    const SHAPE: Shape = Shape::Text;
    fn to_toml(&self) -> Option<toml::Value> {
        Some(self.as_str().into())
    }
}

impl SettingValue for Secret {
    const SHAPE: Shape = Shape::Secret;
    fn to_toml(&self) -> Option<toml::Value> {
        Some("…".into())
    }
}

impl SettingValue for Vec<String> {
    const SHAPE: Shape = Shape::Texts;
    fn to_toml(&self) -> Option<toml::Value> {
        Some(self.clone().into())
    }
}

impl<T: SettingValue> SettingValue for Option<T> {
    const SHAPE: Shape = T::SHAPE;
    fn to_toml(&self) -> Option<toml::Value> {
        self.as_ref().and_then(T::to_toml)
    }
}

macro_rules! number_settings {
    ($($number:ty),+) => { $(
        impl SettingValue for $number {
            const SHAPE: Shape = Shape::Number;
            fn to_toml(&self) -> Option<toml::Value> {
                // A default beyond TOML's integers would be a mistake in the declaration.
                Some(i64::try_from(*self).expect("a default within 63 bits").into())
            }
        }
    )+ };
}
number_settings!(u64, u32, usize);
