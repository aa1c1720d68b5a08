//! Users: what is wanted of each, what ZITADEL has from us, and what happens in between.

mod addresses;
mod counts;
mod doubt;
mod findings;
mod names;
mod place;
mod plan;
mod planned;
mod removed;
mod rows;
mod seen;
mod settled;
mod todo;

pub(super) use self::names::{claim, claim_columns, claim_or};

pub use self::{
    addresses::{begin_addresses, names_of_others, put_address, shared},
    counts::{
        balance, count_actions, count_codes, count_filtered, count_routes, count_sign_in, count_with_password, exported,
    },
    doubt::{
        Aside, Sent, begin_request, count_in_doubt, doubt, in_doubt_aside, lost, not_sent, settled_aside, start_again,
    },
    findings::{add_finding, count_all_findings, count_findings, remove_finding},
    names::{Claim, contested, name_is_claimed, rename, suffixed_before},
    place::{Place, find_user},
    plan::{begin_plan, block, count_action, count_as_written, count_ours, index_names, put_users},
    planned::{Digest, PlannedUser, Wanted},
    removed::{
        Candidate, Which, candidates, count_candidates, count_existed, count_removed, forget_removed, never_created,
        removed, settled_at, written_at,
    },
    seen::{count_seen, not_seen, set_seen},
    settled::{Settled, put_merged, settle},
    todo::{
        Base, ToUpdate, Todo, adjust, adopt_fingerprints, base, count_keeping, count_todo, settled_todo, to_update,
        todo,
    },
};
