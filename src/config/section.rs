//! How a group of settings is declared: once, with default, unit, range and reason; all else follows from it.

use super::value::{Given, Value};

/// What is known of one setting without its value.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Section and name: `dicom.ae_title`. A section may lie in another: `objects.s3`.
    pub key: &'static str,
    /// What the value counts; empty when the value says it itself.
    pub unit: &'static str,
    /// What it does, one sentence.
    pub about: &'static str,
    /// Why the default is what it is, one sentence.
    pub why: &'static str,
    /// What may stand here.
    pub allowed: String,
    /// The default as TOML.
    pub default: String,
}

impl Setting {
    /// The part of the key before the last dot.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.key.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// The part of the key after the last dot.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.key.rsplit_once('.').map_or(self.key, |(_, name)| name)
    }

    /// The variable of the environment that sets it: `FILMROOM_DICOM_AE_TITLE`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("FILMROOM_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }
}

/// A group of settings.
pub trait Section {
    /// All settings of the group.
    fn settings() -> Vec<Setting>;

    /// Sets one by its name within the group.
    ///
    /// # Errors
    /// Why the value is not allowed, as a short phrase.
    fn set(&mut self, name: &str, given: &Given) -> Result<(), String>;

    /// One value as TOML, masked when it is secret; `None` when the group has no such setting.
    fn show(&self, name: &str) -> Option<String>;
}

/// Understands a value and checks its range.
pub(super) fn understood<T: Value + PartialOrd>(given: &Given, range: Option<(T, T)>) -> Result<T, String> {
    let value = T::from_given(given)?;
    match range {
        Some((least, most)) if value < least || value > most => {
            Err(format!("it lies outside {} to {}", least.show(), most.show()))
        }
        _ => Ok(value),
    }
}

/// What may stand in a setting, its range included.
pub(super) fn allowed<T: Value>(range: Option<(T, T)>) -> String {
    match range {
        Some((least, most)) => format!("{}, from {} to {}", T::ALLOWED, least.show(), most.show()),
        None => T::ALLOWED.to_owned(),
    }
}

/// Declares a section: the struct, its defaults, its documentation and its [`Section`].
macro_rules! section {
    (
        $(#[$attribute:meta])*
        $name:ident $section:literal {
            $(
                $field:ident : $kind:ty = $default:expr,
                $(range $least:expr => $most:expr,)?
                unit $unit:literal,
                about $about:literal,
                why $why:literal;
            )*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone)]
        pub struct $name {
            $(
                #[doc = $about]
                #[doc = ""]
                #[doc = $why]
                pub $field: $kind,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::config::Section for $name {
            fn settings() -> Vec<$crate::config::Setting> {
                let defaults = Self::default();
                vec![$(
                    $crate::config::Setting {
                        key: concat!($section, ".", stringify!($field)),
                        unit: $unit,
                        about: $about,
                        why: $why,
                        allowed: {
                            let range: Option<($kind, $kind)> = section!(@range $($least => $most)?);
                            $crate::config::section::allowed(range)
                        },
                        default: $crate::config::Value::show(&defaults.$field),
                    },
                )*]
            }

            fn set(&mut self, name: &str, given: &$crate::config::Given) -> Result<(), String> {
                match name {
                    $(stringify!($field) => {
                        self.$field = section!(@set given, $kind, $($least => $most)?);
                    })*
                    _ => return Err("there is no such setting".to_owned()),
                }
                Ok(())
            }

            fn show(&self, name: &str) -> Option<String> {
                match name {
                    $(stringify!($field) => Some($crate::config::Value::show(&self.$field)),)*
                    _ => None,
                }
            }
        }
    };
    (@range) => { None };
    (@range $least:expr => $most:expr) => { Some(($least, $most)) };
    (@set $given:ident, $kind:ty,) => { <$kind as $crate::config::Value>::from_given($given)? };
    (@set $given:ident, $kind:ty, $least:expr => $most:expr) => {
        $crate::config::section::understood::<$kind>($given, Some(($least, $most)))?
    };
}

pub(super) use section;
