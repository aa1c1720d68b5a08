//! The parts of a user that are merged on their own.

macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $word:literal;)*) => {
        /// A part of a user that is merged on its own. The numbers are bits that the ledger keeps: never give one another
        /// meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Part { $($(#[$doc])* $name = $bit,)* }
        impl Part {
            /// All of them, in the order in which reports name them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// The name of the part, as ZITADEL's API spells it.
            #[must_use]
            pub fn word(self) -> &'static str { match self { $(Self::$name => $word,)* } }
        }
    };
}

parts! {
    /// The user name.
    UserName = 1, "username";
    /// The given name.
    FirstName = 2, "givenName";
    /// The family name.
    LastName = 4, "familyName";
    /// The display name.
    DisplayName = 8, "displayName";
    /// The nick name.
    NickName = 16, "nickName";
    /// The preferred language.
    Language = 32, "preferredLanguage";
    /// The address, with whether it is verified.
    Email = 64, "email";
    /// The number, with whether it is verified.
    Phone = 128, "phone";
    /// Active or inactive.
    State = 256, "state";
}

/// Some parts of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts(u16);

impl Parts {
    /// The parts with these bits.
    #[must_use]
    pub fn of_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Their bits.
    #[must_use]
    pub fn bits(self) -> u16 {
        self.0
    }

    /// Is the part among them?
    #[must_use]
    pub fn has(self, part: Part) -> bool {
        self.0 & part as u16 != 0
    }

    /// Adds or removes a part.
    pub fn set(&mut self, part: Part, on: bool) {
        if on {
            self.0 |= part as u16;
        } else {
            self.0 &= !(part as u16);
        }
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their names, in the order of [`Part::ALL`].
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Part::ALL.iter().filter(move |part| self.has(**part)).map(|part| part.word())
    }
}
