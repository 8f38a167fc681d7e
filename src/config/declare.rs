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
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Word(&'static [&'static str]),
}

impl Shape {
    /// Reads a value that was given as text, on the command line or in the environment.
    pub(super) fn read_text(self, text: &str) -> Result<toml::Value, String> {
        match self {
            Shape::Text | Shape::Secret | Shape::Word(_) => Ok(text.into()),
            Shape::Number => match text.trim().replace('_', "").parse::<i64>() {
                Ok(number) => Ok(number.into()),
                Err(_) => Err(self.expected()),
            },
            Shape::Texts => Ok(text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect::<Vec<String>>()
                .into()),
            Shape::Switch => match text.trim() {
                "true" => Ok(true.into()),
                "false" => Ok(false.into()),
                _ => Err(self.expected()),
            },
        }
    }

    /// What a value of this shape has to be, to complete "must be …".
    pub(super) fn expected(self) -> String {
        match self {
            Shape::Text | Shape::Secret => "text in quotes".to_owned(),
            Shape::Number => "a whole number that is not negative".to_owned(),
            Shape::Texts => "a list of texts".to_owned(),
            Shape::Switch => "true or false".to_owned(),
            Shape::Word(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                quoted.join(" or ")
            }
        }
    }
}

/// A type that a setting can have.
pub(super) trait SettingValue: Sized {
    /// The shape of its values.
    const SHAPE: Shape;
    /// The value as it stands in the file; `None` where it is not set.
    fn to_toml(&self) -> Option<toml::Value>;
    /// Reads the value; the error completes "must be …" and never repeats what was given, which may
    /// be a secret in the wrong place.
    fn from_toml(value: &toml::Value) -> Result<Self, String>;
}

/// A group of settings that stand together in one table of the file.
pub(super) trait Section {
    /// What the section is about: one paragraph.
    fn meaning(&self) -> String;
    /// The settings in the order of their declaration, with the values that they have here.
    fn settings(&self) -> Vec<Setting>;
    /// Sets one setting; `None` if there is none of that name. The error completes "must be …".
    fn set(&mut self, name: &str, value: &toml::Value) -> Option<Result<(), String>>;
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
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $section {
            $( $(#[doc = $meaning])+ pub $name: $type, )+
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $( $name: $default, )+ }
            }
        }

        impl $crate::config::declare::Section for $section {
            fn meaning(&self) -> String {
                $crate::config::declare::paragraph(&[$($about),+])
            }

            fn settings(&self) -> Vec<$crate::config::declare::Setting> {
                use $crate::config::declare::{Setting, SettingValue, paragraph};
                vec![ $( Setting {
                    name: stringify!($name),
                    meaning: paragraph(&[$($meaning),+]),
                    shape: <$type as SettingValue>::SHAPE,
                    value: self.$name.to_toml(),
                }, )+ ]
            }

            fn set(&mut self, name: &str, value: &toml::Value) -> Option<Result<(), String>> {
                use $crate::config::declare::SettingValue;
                match name {
                    $( stringify!($name) => Some(<$type as SettingValue>::from_toml(value).map(
                        |value| self.$name = value,
                    )), )+
                    _ => None,
                }
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
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum $name { $( $(#[$meaning])+ $variant, )+ }

        impl $crate::config::declare::SettingValue for $name {
            const SHAPE: $crate::config::declare::Shape =
                $crate::config::declare::Shape::Word(&[$($word),+]);
            fn to_toml(&self) -> Option<toml::Value> {
                Some(match self { $( Self::$variant => $word.into(), )+ })
            }
            fn from_toml(value: &toml::Value) -> Result<Self, String> {
                match value.as_str() {
                    $( Some($word) => Ok(Self::$variant), )+
                    _ => Err(Self::SHAPE.expected()),
                }
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
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let text = value.as_str().ok_or_else(|| Self::SHAPE.expected())?;
        Ok(text.to_owned())
    }
}

impl SettingValue for Secret {
    const SHAPE: Shape = Shape::Secret;
    fn to_toml(&self) -> Option<toml::Value> {
        Some("…".into())
    }
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        String::from_toml(value).map(Self::from)
    }
}

impl SettingValue for Vec<String> {
    const SHAPE: Shape = Shape::Texts;
    fn to_toml(&self) -> Option<toml::Value> {
        Some(self.clone().into())
    }
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let texts = value.as_array().ok_or_else(|| Self::SHAPE.expected())?;
        let text = |it: &toml::Value| it.as_str().map(str::to_owned);
        let texts: Option<Self> = texts.iter().map(text).collect();
        texts.ok_or_else(|| Self::SHAPE.expected())
    }
}

impl SettingValue for Vec<Secret> {
    const SHAPE: Shape = Shape::Texts;
    fn to_toml(&self) -> Option<toml::Value> {
        let hidden: Vec<toml::Value> = self.iter().map(|_| "…".into()).collect();
        Some(hidden.into())
    }
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let texts = Vec::<String>::from_toml(value)?;
        Ok(texts.into_iter().map(Secret::from).collect())
    }
}

impl SettingValue for bool {
    const SHAPE: Shape = Shape::Switch;
    fn to_toml(&self) -> Option<toml::Value> {
        Some((*self).into())
    }
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| Self::SHAPE.expected())
    }
}

impl<T: SettingValue> SettingValue for Option<T> {
    const SHAPE: Shape = T::SHAPE;
    fn to_toml(&self) -> Option<toml::Value> {
        self.as_ref().and_then(T::to_toml)
    }
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        T::from_toml(value).map(Some)
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
            fn from_toml(value: &toml::Value) -> Result<Self, String> {
                let number = value.as_integer().ok_or_else(|| Self::SHAPE.expected())?;
                Self::try_from(number).map_err(|_| if number < 0 {
                    Self::SHAPE.expected()
                } else {
                    format!("at most {}", Self::MAX)
                })
            }
        }
    )+ };
}
number_settings!(u64, u32, usize);
