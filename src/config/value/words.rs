//! Values that are one of a few words.

/// Declares such a value with the word of each variant and others that are read as well; with `impl`, for an enumeration that
/// is declared elsewhere.
macro_rules! words {
    (impl $name:ident $allowed:literal { $($variant:ident $word:literal $(| $also:literal)*),* $(,)? }) => {
        impl $crate::config::Value for $name {
            const ALLOWED: &'static str = $allowed;
            fn from_text(text: &str) -> Result<Self, String> {
                match text {
                    $($word $(| $also)* => Ok(Self::$variant),)*
                    _ => Err(format!("\"{text}\" is none of these")),
                }
            }
            fn show(&self) -> String {
                $crate::config::value::quoted(match self {
                    $(Self::$variant => $word,)*
                })
            }
        }
    };
    ($(#[$attribute:meta])* $name:ident $allowed:literal {
        $($(#[$meaning:meta])* $variant:ident $word:literal $(| $also:literal)*),* $(,)?
    }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$meaning])* $variant,)*
        }

        $crate::config::value::words!(impl $name $allowed { $($variant $word $(| $also)*),* });
    };
}

pub(in crate::config) use words;
