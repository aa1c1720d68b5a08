//! The object around a list of rows: `{"users":[…]}`, or a page as the Management API gives it
//! (`{"start":0,"limit":50,"length":1,"users":[…],"total":1}`).

/// Keys under which lists of rows stand.
const LISTS: [&str; 11] =
    ["users", "data", "rows", "items", "results", "records", "documents", "members", "passwords", "hashes", "factors"];
/// Keys of a row: an object that has one of them before its list is a row itself.
const OF_ROWS: [&str; 14] = [
    "_id",
    "id",
    "user_id",
    "alt_id",
    "email",
    "passwordHash",
    "name",
    "given_name",
    "family_name",
    "nickname",
    "username",
    "identities",
    "connection",
    "created_at",
];
/// The longest key that matters, in bytes.
const LONGEST_KEY: usize = 32;

/// Where a reader of JSON is, as far as strings go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Text {
    #[default]
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

/// Whether the object has a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum List {
    #[default]
    None,
    /// Its bracket has just been read.
    Begins,
    /// It was read.
    Behind,
}

/// How far the object has been read. It is fed the object's own bytes only, not those of its list.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    /// The line on which it starts.
    pub(super) line: u64,
    /// How many bytes of it were read.
    pub(super) bytes: u64,
    depth: u64,
    text: Text,
    /// Behind the colon of a key of the object itself.
    value: bool,
    key: Vec<u8>,
    list: List,
    is_row: bool,
}

impl Envelope {
    pub(super) fn at(line: u64) -> Self {
        Self { line, ..Self::default() }
    }

    /// It has just come to its list, whose bracket is read.
    pub(super) fn in_list(&self) -> bool {
        self.list == List::Begins
    }

    /// A list of it was read.
    pub(super) fn has_list(&self) -> bool {
        self.list != List::None
    }

    /// Its last bracket is read.
    pub(super) fn is_over(&self) -> bool {
        self.depth == 0 && self.bytes > 0
    }

    /// Reads on, up to the bracket of the list or the end; says how many bytes that took.
    pub(super) fn walk(&mut self, chunk: &[u8]) -> usize {
        if self.list == List::Begins {
            self.list = List::Behind;
        }
        for (at, byte) in chunk.iter().enumerate() {
            self.bytes += 1;
            self.step(*byte);
            if self.in_list() || self.is_over() {
                return at + 1;
            }
        }
        chunk.len()
    }

    fn step(&mut self, byte: u8) {
        let of_itself = self.depth == 1 && !self.value;
        if self.text != Text::Outside {
            self.text = match (self.text, byte) {
                (Text::Inside, b'\\') => Text::Escaped,
                (Text::Inside, b'"') => Text::Outside,
                _ => Text::Inside,
            };
            if self.text != Text::Outside && of_itself && self.key.len() < LONGEST_KEY {
                self.key.push(byte);
            }
            return;
        }
        match byte {
            b'"' => {
                self.text = Text::Inside;
                if of_itself {
                    self.key.clear();
                }
            }
            b':' if self.depth == 1 => {
                self.value = true;
                self.is_row |= OF_ROWS.iter().any(|name| self.is_key(name));
            }
            b',' if self.depth == 1 => self.value = false,
            b'[' if self.depth == 1 && self.value && !self.is_row && LISTS.iter().any(|name| self.is_key(name)) => {
                self.list = List::Begins;
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    fn is_key(&self, name: &str) -> bool {
        std::str::from_utf8(&self.key).is_ok_and(|key| super::scalar::alike(name, key))
    }
}

/// Does the text begin with an object around a list of objects?
pub(super) fn is_one(start: &[u8]) -> bool {
    let mut envelope = Envelope::at(1);
    let list = envelope.walk(start);
    let rest = start.get(list..).unwrap_or_default().trim_ascii_start();
    envelope.in_list() && matches!(rest.first(), Some(b'{' | b']'))
}
