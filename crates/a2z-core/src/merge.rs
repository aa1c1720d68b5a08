//! `a2z merge`: an export and the ticket files become bodies for `POST /admin/v1/import`, offline. What
//! `zitadel-tools migrate auth0` does, joined by identity and with every user accounted for.
//!
//! The export is read two or three times, so that memory stays flat: once for the user names (a hash of eight bytes each),
//! once more for who keeps a name that several claim, where there are such, and once to write.

mod body;
mod listing;
mod names;
mod options;
mod stranded;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    path::{Path, PathBuf},
};

use self::{
    body::Bodies,
    listing::{Entry, Listing},
    names::{Ids, Names},
    options::folder_of,
};
use crate::{
    auth0::{
        rows::{Row, RowKind, Rows},
        user::ExportedUser,
    },
    error::{Error, Result, count, thousands},
    event::{Events, Stage},
    hashes::{HashIndex, LoadOptions, mfa::MfaIndex},
    input,
    input::settings::Source,
    join::{self, Shape},
    mapping::settings::{Collisions, Mapping, MetadataStyle},
    mapping::{
        self, Roads,
        draft::Draft,
        finding::{Blocked, BlockedCode, Finding, FindingCode},
        joined::Joined,
        links::{self, Links},
        providers::Providers,
        sign_in::address_key,
    },
};

pub use body::MAX_PROTOBUF;
pub use options::MergeOptions;
pub use stranded::Stranded;

/// What came of it. `read = written + blocked + left_out`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergeSummary {
    /// Rows of the export, malformed ones included.
    pub read: u64,
    /// Users in the bodies.
    pub written: u64,
    /// Users with a password in the bodies.
    pub with_password: u64,
    /// Users with a second factor in the bodies.
    pub with_factor: u64,
    /// Users (and rows) that cannot be moved, by code.
    pub blocked: BTreeMap<&'static str, u64>,
    /// Users that the import endpoint strands, by their first reason; in the bodies, or left out.
    pub stranded: BTreeMap<&'static str, u64>,
    /// Stranded users who are not in the bodies.
    pub left_out: u64,
    /// What else there is to say about users, by code.
    pub findings: BTreeMap<&'static str, u64>,
    /// The bodies.
    pub bodies: Vec<PathBuf>,
    /// The size of the largest body as ZITADEL measures it, in bytes of protobuf.
    pub largest_body: usize,
    /// Where blocked and stranded users are listed, one line each; none where there are none.
    pub listing: Option<PathBuf>,
    /// Where the users who were left out are listed.
    pub left_out_listing: Option<PathBuf>,
}

impl MergeSummary {
    /// How many users (and rows) cannot be moved.
    #[must_use]
    pub fn blocked_count(&self) -> u64 {
        self.blocked.values().sum()
    }

    /// How many users the import endpoint strands.
    #[must_use]
    pub fn stranded_count(&self) -> u64 {
        self.stranded.values().sum()
    }

    /// Whether the server would refuse a body for its size.
    #[must_use]
    pub fn too_large(&self) -> bool {
        self.largest_body > MAX_PROTOBUF
    }

    fn bump(map: &mut BTreeMap<&'static str, u64>, code: &'static str) {
        *map.entry(code).or_default() += 1;
    }
}

impl fmt::Display for MergeSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |map: &BTreeMap<&'static str, u64>| {
            map.iter().map(|(code, n)| format!("{} {code}", thousands(*n))).collect::<Vec<_>>().join(", ")
        };
        write!(
            f,
            "{} = {} written ({} with a password) + {} blocked + {} left out",
            count(self.read, "row"),
            thousands(self.written),
            thousands(self.with_password),
            thousands(self.blocked_count()),
            thousands(self.left_out)
        )?;
        if self.with_factor > 0 {
            write!(f, "\nwith a second factor: {}", thousands(self.with_factor))?;
        }
        if !self.blocked.is_empty() {
            write!(f, "\nblocked: {}", list(&self.blocked))?;
        }
        if !self.stranded.is_empty() {
            write!(f, "\nstranded by the import endpoint: {}", list(&self.stranded))?;
        }
        if !self.findings.is_empty() {
            write!(f, "\nfindings: {}", list(&self.findings))?;
        }
        let listings: Vec<_> = [&self.listing, &self.left_out_listing]
            .into_iter()
            .flatten()
            .map(|listing| listing.display().to_string())
            .collect();
        if !listings.is_empty() {
            write!(f, "\nlisted one by one in {}", listings.join(" and "))?;
        }
        match self.bodies.as_slice() {
            [] => write!(f, "\nno body was written"),
            [one] => write!(f, "\nbody: {}", one.display()),
            [first, .., end] => {
                let n = thousands(self.bodies.len() as u64);
                write!(f, "\n{n} bodies: {} to {}", first.display(), end.display())
            }
        }
    }
}

/// Merges an export and its hash files into import bodies. Blocks.
///
/// # Errors
/// An input file cannot be read to its end, or an output file cannot be written. What was there before stays then.
pub fn merge(options: &MergeOptions, events: &Events) -> Result<MergeSummary> {
    let files = std::iter::once(&options.users).chain(&options.passwords).chain(&options.mfa);
    let from_stdin = files.filter(|source| **source == Source::Stdin).count();
    if from_stdin > 1 {
        return Err(
            Error::usage("standard input can be read for one file only").hint("give the other file by its name")
        );
    }
    let folder = folder_of(&options.output);
    // The export is read several times; what comes by standard input is kept in a private file meanwhile.
    let (source, _kept) = keep_stdin(&options.users, folder)?;
    let loading = LoadOptions {
        by_email: options.join.by_email,
        max_line: options.max_line,
        spool: Some(folder.to_path_buf()),
        verifiers: options.mapping.verifiers,
    };
    let hashes = HashIndex::load(&options.passwords, &loading, events)?;
    let mfa = MfaIndex::load(&options.mfa, &loading, events)?;
    hashes.require_usable()?;
    mfa.require_usable()?;
    let merging = Merging { options, source, hashes, mfa, events };

    let (mut names, ids, shape) = merging.survey()?;
    if names.contested() {
        merging.settle_names(&mut names, &ids, shape)?;
    }
    merging.write(names, &ids, shape)
}

fn keep_stdin(users: &Source, folder: &Path) -> Result<(Source, Option<tempfile::TempDir>)> {
    match users {
        Source::File(_) => Ok((users.clone(), None)),
        Source::Stdin => {
            let private = tempfile::Builder::new()
                .prefix(".a2z-merge-")
                .tempdir_in(folder)
                .map_err(|error| Error::usage(format!("cannot write to `{}`", folder.display())).caused_by(&error))?;
            let path = private.path().join("export");
            input::keep(users, &path)?;
            Ok((Source::File(path), Some(private)))
        }
    }
}

struct Merging<'a> {
    options: &'a MergeOptions,
    source: Source,
    hashes: HashIndex,
    mfa: MfaIndex,
    events: &'a Events,
}

/// A user, mapped.
struct Prepared {
    draft: Result<Draft, Blocked>,
    findings: Vec<Finding>,
    last_login: Option<jiff::Timestamp>,
    connection: Option<String>,
}

impl Merging<'_> {
    fn rows(&self) -> Result<Rows> {
        Rows::open(&self.source, &input::Options::new(self.options.max_line, "--users"))
    }

    fn each(&self, stage: Stage, mut row: impl FnMut(Row) -> Result<()>) -> Result<u64> {
        let running = self.events.start(stage, None);
        let mut rows = self.rows()?;
        let mut done = 0;
        while let Some(next) = rows.next()? {
            row(next)?;
            done += 1;
            if done % 1024 == 0 {
                running.advanced(done, None);
            }
        }
        running.finish(done);
        Ok(done)
    }

    /// Pass 1: the names and ids, and what the export carries.
    fn survey(&self) -> Result<(Names, Ids, Shape)> {
        let (mut names, mut ids) = (Names::default(), Ids::default());
        let mut shape = Shape { email_verified: false };
        // Neither hashes nor metadata have a say in the name.
        let config = Mapping { metadata: MetadataStyle::None, ..self.options.mapping.clone() };
        self.each(Stage::Plan, |row| {
            let RowKind::User(user) = row.kind else { return Ok(()) };
            shape.email_verified |= user.email_verified.is_some();
            ids.note(&user.user_id);
            let joined = Joined { user: *user, hash: None, links: Links::default(), findings: Vec::new() };
            let mapped = mapping::map(joined, &config, Roads::ImportOnly);
            if let Ok(draft) = mapped.draft {
                names.note(&draft.user_name);
                if let Some(key) = address_key(&draft, &mapped.findings) {
                    names.note_address(&key);
                }
            }
            Ok(())
        })?;
        names.close();
        ids.close();
        Ok((names, ids, shape))
    }

    /// Pass 2, only where names meet: who keeps them.
    fn settle_names(&self, names: &mut Names, ids: &Ids, shape: Shape) -> Result<()> {
        let mut seen = HashSet::new();
        self.each(Stage::Plan, |row| {
            let RowKind::User(user) = row.kind else { return Ok(()) };
            if ids.is_repeated(&user.user_id, &mut seen) {
                return Ok(());
            }
            let prepared = self.prepare(*user, shape);
            if let Ok(draft) = prepared.draft {
                names.claim(&draft, prepared.last_login);
            }
            Ok(())
        })?;
        Ok(())
    }

    /// The last pass.
    fn write(&self, mut names: Names, ids: &Ids, shape: Shape) -> Result<MergeSummary> {
        let options = self.options;
        let mut summary = MergeSummary::default();
        let mut bodies = Bodies::new(options)?;
        let mut listing = Listing::new(listing_path(&options.output))?;
        let mut left_out = options.leave_out_stranded.clone().map(Listing::new).transpose()?;
        let mut seen = HashSet::new();
        summary.read = self.each(Stage::Report, |Row { line, kind, .. }| {
            let user = match kind {
                RowKind::User(user) => *user,
                RowKind::Malformed { reason, user_id } => {
                    let blocked = Blocked::about(BlockedCode::MalformedRow, reason);
                    MergeSummary::bump(&mut summary.blocked, blocked.code.code());
                    return listing.write(&Entry::blocked(user_id.as_deref(), line, &blocked));
                }
            };
            let user_id = user.user_id.clone();
            let repeated = ids.is_repeated(&user_id, &mut seen);
            let mut prepared = self.prepare(user, shape);
            if repeated {
                prepared.draft = Err(Blocked::new(BlockedCode::DuplicateUserId));
            }
            self.settle(&mut prepared, &mut names);
            if !ids.may_repeat(&user_id) {
                report_addresses(&mut prepared, &names);
            }
            for finding in &prepared.findings {
                MergeSummary::bump(&mut summary.findings, finding.code.code());
            }
            let draft = match prepared.draft {
                Ok(draft) => draft,
                Err(blocked) => {
                    MergeSummary::bump(&mut summary.blocked, blocked.code.code());
                    return listing.write(&Entry::blocked(Some(&user_id), line, &blocked));
                }
            };
            let reasons = Stranded::reasons(&draft);
            if let Some(first) = reasons.first() {
                MergeSummary::bump(&mut summary.stranded, first.code());
                if let Some(left_out) = &mut left_out {
                    summary.left_out += 1;
                    return left_out.write(&Entry::stranded(&user_id, line, &reasons, true));
                }
                listing.write(&Entry::stranded(&user_id, line, &reasons, false))?;
            }
            summary.written += 1;
            summary.with_password += u64::from(draft.password.is_some());
            summary.with_factor += u64::from(draft.totp_secret.is_some() || !draft.recovery_codes.is_empty());
            bodies.push(&draft)
        })?;
        (summary.bodies, summary.largest_body) = bodies.finish()?;
        summary.listing = listing.finish(false)?;
        summary.left_out_listing = left_out.map(|left_out| left_out.finish(true)).transpose()?.flatten();
        if summary.too_large() {
            self.events.warn(
                "body-too-large",
                "the body is larger than the 4 MiB that ZITADEL takes in one request; write several with `--split-users`",
            );
        }
        Ok(summary)
    }

    fn prepare(&self, user: ExportedUser, shape: Shape) -> Prepared {
        let last_login = user.last_login;
        let connection = user.connection().or(Some(user.split_id().0)).filter(|c| !c.is_empty()).map(str::to_owned);
        let mut joined = join::join(user, &self.hashes, &self.options.join, &shape);
        // No ZITADEL is asked, so no provider is known: what stays behind is reported.
        joined.links = links::links(&joined.user, &Providers::default(), &mut joined.findings);
        let user_id = joined.user.user_id.clone();
        let mapping::Mapped { mut draft, mut findings } =
            mapping::map(joined, &self.options.mapping, Roads::ImportOnly);
        if let (Some(factors), Ok(draft)) = (self.mfa.find(&user_id), &mut draft) {
            mapping::factors::give(draft, factors, true, &mut findings);
        }
        if let Ok(draft) = &mut draft {
            let placeholder = findings.iter().any(|finding| finding.code == FindingCode::PlaceholderEmail);
            draft.email.verified = self.options.email_verified.unwrap_or(draft.email.verified) && !placeholder;
        }
        Prepared { draft, findings, last_login, connection }
    }

    /// Blocks or renames a user whose name another one keeps, and blocks one who is too large for any body.
    fn settle(&self, prepared: &mut Prepared, names: &mut Names) {
        let Ok(draft) = &mut prepared.draft else { return };
        if let Some(keeper) = names.keeper_before(draft) {
            let keeper = keeper.to_owned();
            let connection = prepared.connection.as_deref().unwrap_or("auth0");
            let free = match self.options.mapping.collisions {
                Collisions::Suffix => names.free_suffix(&draft.user_name, connection),
                Collisions::Block | Collisions::Link => None,
            };
            let detail = format!("the name is kept by {keeper}");
            if let Some(name) = free {
                draft.user_name = name;
                prepared.findings.push(Finding::about(FindingCode::UserNameSuffixed, detail));
            } else {
                prepared.draft = Err(Blocked::about(BlockedCode::DuplicateUserName, detail));
                return;
            }
        }
        if body::is_too_large(draft) {
            let detail = "the user alone is larger than the 4 MiB that ZITADEL takes in one request";
            prepared.draft = Err(Blocked::about(BlockedCode::RefusedByZitadel, detail));
        }
    }
}

/// Says who finds another user, or more than one, by an address.
fn report_addresses(prepared: &mut Prepared, names: &Names) {
    let Prepared { draft: Ok(draft), findings, .. } = prepared else { return };
    let key = address_key(draft, findings);
    if names.meets_address(draft, key.as_deref()) {
        findings.push(Finding::new(FindingCode::NameIsAddress));
    } else if key.is_some_and(|key| names.shares_address(&key)) {
        findings.push(Finding::new(FindingCode::AddressShared));
    }
}

/// `body.json` -> `body.listing.ndjson`.
fn listing_path(output: &Path) -> PathBuf {
    output.with_extension("listing.ndjson")
}

#[cfg(test)]
mod tests;
