//! 8 VERIFY: does ZITADEL have what it was told? Every user that the ledger calls its own is read back and compared with
//! the facts that were kept when the user was written: neither the export nor a hash file is needed.
//!
//! Searches of 500 ids find most users as they should be. Whoever is not, or is not found, is read again by id, which is
//! strongly consistent: only what still differs then is a difference.

mod compare;
pub mod login;
mod projections;
pub mod settings;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU32},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    error::{Error, Result},
    event::{Events, Running, Stage},
    ledger::{
        Ledger,
        differences::{self, Difference, Ours, Scope},
        links, runs,
    },
    mapping::facts::{Facts, Flag, Salt},
    verify::settings::VerifyMetadata,
    zitadel::{client::Client, failure::Failure, search::FoundUser},
};

/// What is known of ZITADEL's clock may be wrong by so much.
const CLOCKS: SignedDuration = SignedDuration::from_secs(5);
/// Ids in one search.
const CHUNK: usize = 500;
/// Users whose metadata is read in a sample; of the others it is only looked whether each key is there.
const SAMPLE: u64 = 200;
/// Users whose links or second factors are read in a sample: no search tells of them.
const LARGE_SAMPLE: u64 = 5000;
/// How often a user's links are read until they are there.
const LOOKS: u32 = 10;
/// After so many users whose links did not come, nobody's are waited for.
const MOST_WAITS: u32 = 10;
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Users who are named in the summary.
const EXAMPLES: usize = 10;

/// What a comparison needs.
#[derive(Debug)]
pub struct Verifier {
    /// To ZITADEL.
    pub client: Client,
    /// The ledger.
    pub ledger: Ledger,
    /// The ledger's own key.
    pub key: [u8; 16],
    /// Where the users belong.
    pub organization_id: String,
    /// How long to wait for ZITADEL's projections.
    pub patience: Duration,
    /// Whose metadata is read: one request per user.
    pub metadata: VerifyMetadata,
    /// Who listens.
    pub events: Events,
}

/// How ZITADEL compares with the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Verdict {
    /// When, RFC 3339.
    #[serde(default)]
    pub at: String,
    /// Users who were looked at.
    pub looked_at: u64,
    /// As they should be.
    pub same: u64,
    /// There, and not as they should be.
    pub different: u64,
    /// Not there.
    pub missing: u64,
    /// Users whose metadata was compared, too.
    pub metadata_checked: u64,
    /// Users by what differs; one user may count at several.
    pub by_kind: BTreeMap<String, u64>,
    /// Some who differ.
    #[serde(skip)]
    pub examples: Vec<Example>,
}

/// A user who differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Whose.
    pub user_id: String,
    /// How.
    pub differences: Vec<Difference>,
}

/// What the readers share.
struct Work<'a> {
    verifier: &'a Verifier,
    scope: Scope,
    /// How far ZITADEL's clock was ahead of ours.
    clock: SignedDuration,
    /// Users whose links were waited for in vain.
    waited: AtomicU32,
    total: u64,
    stage: &'a Running,
    pages: Mutex<Pages>,
    verdict: Mutex<Verdict>,
}

/// How far the ledger was read.
struct Pages {
    after: i64,
    metadata: Sample,
    factors: Sample,
    links: Sample,
}

/// Users spread over all those who have something, the same ones each time.
struct Sample {
    /// Every so manieth; none: nobody.
    step: Option<u64>,
    seen: u64,
}

impl Sample {
    fn of(policy: VerifyMetadata, users: u64, size: u64) -> Self {
        let step = match policy {
            VerifyMetadata::All => Some(1),
            VerifyMetadata::Sample => Some(users.div_ceil(size).max(1)),
            VerifyMetadata::None => None,
        };
        Self { step, seen: 0 }
    }

    /// Is the next user who has it one of them?
    fn takes(&mut self) -> bool {
        let takes = self.step.is_some_and(|step| self.seen.is_multiple_of(step));
        self.seen += 1;
        takes
    }
}

/// A user to look at, and whether the metadata and the second factors are to be read.
struct Look {
    user_id: String,
    facts: Option<Facts>,
    metadata: bool,
    factors: bool,
    links: bool,
    organization: Option<String>,
    settled_at: Option<Timestamp>,
    codes: Vec<crate::mapping::codes::Kind>,
}

impl Verifier {
    /// Compares the users of `scope`, and writes the differences to the ledger in place of earlier ones.
    ///
    /// # Errors
    /// When ZITADEL cannot be asked, its projections do not catch up in time, or the ledger fails. What was compared by
    /// then is in the ledger.
    pub async fn run(&self, scope: Scope) -> Result<Verdict> {
        self.ledger.write(differences::forget_strangers).await?;
        let verdict = self.compare(scope).await?;
        self.keep(&verdict, scope == Scope::All).await?;
        Ok(verdict)
    }

    /// Compares those once more who differed in `before`, the verdict on a run.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn again(&self, before: Verdict) -> Result<Verdict> {
        // Whom ZITADEL did not take again is not there any more, and nobody to compare.
        let gone = self.ledger.write(differences::forget_strangers).await?;
        let now = self.compare(Scope::Differing).await?;
        let looked_at = before.looked_at.saturating_sub(gone);
        let verdict = Verdict {
            same: looked_at.saturating_sub(now.wrong()),
            looked_at,
            metadata_checked: before.metadata_checked.max(now.metadata_checked),
            ..now
        };
        self.keep(&verdict, false).await?;
        Ok(verdict)
    }

    async fn keep(&self, verdict: &Verdict, all: bool) -> Result<()> {
        let note = serde_json::to_string(verdict).unwrap_or_default();
        self.ledger
            .write(move |t| {
                runs::set_meta(t, "verified", &note)?;
                runs::set_meta(t, "verified_all", if all { "true" } else { "false" })
            })
            .await
    }

    async fn compare(&self, scope: Scope) -> Result<Verdict> {
        let (total, with_metadata) = self.ledger.read(|c| differences::count(c, scope))?;
        let stage = self.events.start(Stage::Verify, Some(total));
        if total > 0 {
            let failed = |failure: Failure| failure.into_error("could not wait for ZITADEL's projections");
            self.client.barrier(self.patience).await.map_err(failed)?;
            if with_metadata > 0 && self.metadata != VerifyMetadata::None {
                self.client.metadata_barrier(self.patience).await.map_err(failed)?;
            }
        }
        let (clock, linked, with_factors) = self
            .ledger
            .read(|c| Ok((runs::clock(c)?, links::count_linked(c)?, differences::count_with_factors(c, scope)?)))?;
        let work = Work {
            verifier: self,
            scope,
            clock: SignedDuration::from_millis(clock),
            waited: AtomicU32::new(0),
            total,
            stage: &stage,
            pages: Mutex::new(Pages {
                after: 0,
                metadata: Sample::of(self.metadata, with_metadata, SAMPLE),
                factors: Sample::of(self.metadata, with_factors, LARGE_SAMPLE),
                links: Sample::of(self.metadata, linked, LARGE_SAMPLE),
            }),
            verdict: Mutex::default(),
        };
        // A few at a time: the client's own pace bounds them further.
        let reader = || Box::pin(work.pages());
        tokio::try_join!(reader(), reader(), reader(), reader())?;
        let mut verdict = work.verdict.into_inner().unwrap_or_else(PoisonError::into_inner);
        verdict.at = runs::now();
        stage.finish(verdict.looked_at);
        Ok(verdict)
    }
}

impl Work<'_> {
    /// One reader: takes the next page as long as there is one.
    async fn pages(&self) -> Result<()> {
        loop {
            let page = self.next()?;
            if page.is_empty() {
                return Ok(());
            }
            self.page(page).await?;
        }
    }

    fn next(&self) -> Result<Vec<Look>> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let after = pages.after;
        let users = self.verifier.ledger.read(|c| differences::page(c, self.scope, after, CHUNK))?;
        if let Some(last) = users.last() {
            pages.after = last.id;
        }
        Ok(users.into_iter().map(|user| Self::look(user, &mut pages)).collect())
    }

    /// What is to be read of a user. Who differed is looked at again whatever the sample: the difference would be
    /// forgotten unseen.
    fn look(user: Ours, pages: &mut Pages) -> Look {
        let facts = user.facts.as_deref().and_then(Facts::decode);
        let has = |what: fn(&Facts) -> bool| facts.as_ref().is_some_and(what);
        let metadata = has(|facts| !facts.metadata().is_empty());
        let factors = has(|facts| facts.has(Flag::Totp) || facts.has(Flag::RecoveryCodes)) || !user.codes.is_empty();
        let links = has(|facts| !facts.links().is_empty());
        Look {
            metadata: metadata && (pages.metadata.takes() | user.metadata_differed),
            factors: factors && (pages.factors.takes() | user.factors_differed),
            links: links && (pages.links.takes() | user.metadata_differed),
            user_id: user.user_id,
            organization: user.organization,
            settled_at: user.settled_at,
            codes: user.codes,
            facts,
        }
    }

    async fn page(&self, mut page: Vec<Look>) -> Result<()> {
        let verifier = self.verifier;
        let ids: Vec<String> = page.iter().map(|user| user.user_id.clone()).collect();
        let failed = |failure: Failure| failure.into_error("could not read users back from ZITADEL");
        let answer = verifier.client.search_by_ids(&ids).await.map_err(failed)?;
        let found: BTreeMap<&str, &FoundUser> = answer.users.iter().map(|user| (user.user_id.as_str(), user)).collect();
        let roles = self.roles(&ids).await?;
        if verifier.metadata != VerifyMetadata::None {
            for at in self.without_a_key(&page).await.map_err(failed)? {
                page[at].metadata = true;
            }
        }
        let (mut looked_at, mut metadata_checked) = (Vec::with_capacity(page.len()), 0);
        for user in &page {
            let mut differences = self.compare(user, found.get(user.user_id.as_str()).copied());
            if !differences.is_empty() {
                // The search reads what ZITADEL projected so far; this read waits for all of it.
                let again = verifier.client.user(&user.user_id).await.map_err(failed)?;
                differences = self.compare(user, again.as_ref());
                self.say_if_changed(user, again.as_ref(), &mut differences);
            }
            let missing = differences.iter().any(|difference| difference.what == compare::MISSING);
            if let Some(facts) = user.facts.as_ref().filter(|_| user.metadata && !missing) {
                let current = verifier.client.user_metadata(&user.user_id).await.map_err(failed)?;
                differences.extend(compare::metadata(facts, &current, self.salt(&user.user_id)));
                metadata_checked += 1;
            }
            if user.factors && !missing {
                differences.extend(self.factors(user).await.map_err(failed)?);
            }
            if let Some(facts) = user.facts.as_ref().filter(|_| user.links && !missing) {
                differences.extend(self.links(user, facts).await.map_err(failed)?);
            }
            if !missing {
                differences.extend(roles.get(&user.user_id).cloned());
            }
            looked_at.push((user.user_id.clone(), differences));
        }
        self.count(&looked_at, metadata_checked);
        verifier.ledger.write(move |t| differences::replace(t, &looked_at)).await
    }

    fn compare(&self, user: &Look, found: Option<&FoundUser>) -> Vec<Difference> {
        let organization = user.organization.as_ref().unwrap_or(&self.verifier.organization_id);
        compare::user(user.facts.as_ref(), found, self.salt(&user.user_id), organization)
    }

    /// A user who was changed in ZITADEL since may differ by right.
    fn say_if_changed(&self, user: &Look, found: Option<&FoundUser>, differences: &mut [Difference]) {
        let settled = user.settled_at.and_then(|at| at.checked_add(self.clock + CLOCKS).ok());
        let Some(at) = found.zip(settled).and_then(|(found, settled)| compare::changed_since(found, settled)) else {
            return;
        };
        for detail in differences.iter_mut().filter_map(|difference| difference.detail.as_mut()) {
            let _ = write!(detail, "; changed in ZITADEL since, at {at:.0}");
        }
    }

    fn salt<'a>(&'a self, user_id: &'a str) -> Salt<'a> {
        Salt { key: &self.verifier.key, user_id }
    }

    fn count(&self, looked_at: &[(String, Vec<Difference>)], metadata_checked: u64) {
        let mut verdict = self.verdict();
        verdict.metadata_checked += metadata_checked;
        for (user_id, differences) in looked_at {
            verdict.looked_at += 1;
            if differences.is_empty() {
                verdict.same += 1;
                continue;
            }
            if differences.iter().any(|difference| difference.what == compare::MISSING) {
                verdict.missing += 1;
            } else {
                verdict.different += 1;
            }
            for difference in differences {
                *verdict.by_kind.entry(difference.what.to_owned()).or_default() += 1;
            }
            if verdict.examples.len() < EXAMPLES {
                verdict.examples.push(Example { user_id: user_id.clone(), differences: differences.clone() });
            }
        }
        let done = verdict.looked_at;
        drop(verdict);
        tracing::debug!(done, scope = ?self.scope, "compared");
        self.stage.advanced(done, Some(self.total));
    }

    fn verdict(&self) -> MutexGuard<'_, Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Verdict {
    /// Users who are not as they should be.
    #[must_use]
    pub fn wrong(&self) -> u64 {
        self.different + self.missing
    }
}

/// The error of a comparison that found nobody at all, although there should be some: more likely a wrong account than a
/// loss.
#[must_use]
pub fn nobody(verdict: &Verdict) -> Option<Error> {
    (verdict.looked_at > 1 && verdict.missing == verdict.looked_at).then(|| {
        Error::new(crate::error::Kind::Incomplete, "not one of the users was found in ZITADEL")
            .because("they were deleted, or the service account may not see the users of this organization")
            .hint("look for one of them in ZITADEL's console; run `a2z check`")
    })
}
