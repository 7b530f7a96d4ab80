//! What the store is told of its engine and its keys.

use filmroom_storage::{
    encryption::{MasterKeyError, MasterKeySource, PlainObjects},
    index::engine::EngineKind,
};

use super::{Value, quoted, words};

words! {
    impl EngineKind "sled or fjall" {
        Sled "sled",
        Fjall "fjall",
    }
}

words! {
    impl PlainObjects "read or refuse" {
        Read "read",
        Refuse "refuse",
    }
}

impl Value for MasterKeySource {
    const ALLOWED: &'static str = "file:PATH, env:VARIABLE, command:COMMAND, or nothing";
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: MasterKeyError| error.to_string())
    }
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}
