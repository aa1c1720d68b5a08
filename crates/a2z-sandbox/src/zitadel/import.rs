//! `POST /admin/v1/import`: users strictly one after the other, then metadata, links, projects, roles, grants, members.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::answer::{Code, Fail};
use super::people::{link_of, list, no_nul, text};
use super::rules::{self, Hash};
use super::schema::{decode, size, validate};
use super::shapes::IMPORT;
use super::state::{State, UserState};
use super::{Options, Server};

/// The largest message that the gRPC server takes, in bytes of protobuf.
pub(super) const LARGEST: usize = 4 << 20;

/// What an import is allowed to do before the request has its answer.
pub(super) enum Checked {
    /// Run it.
    Run { orgs: Vec<Value>, timeout: Duration },
    /// It holds what kills the server process: run it up to there.
    Crash,
}

/// Decodes and checks a request: all or nothing.
pub(super) fn check(body: &[u8], options: &Options) -> Result<Checked, Fail> {
    let invalid = |message| Fail::plain(Code::InvalidArgument, message);
    let request = decode(&IMPORT, body).map_err(invalid)?;
    let size = size(&IMPORT, &request);
    let largest = options.largest_request;
    if size > largest {
        let message = format!("grpc: received message larger than max ({size} vs. {largest})");
        return Err(Fail::plain(Code::ResourceExhausted, message));
    }
    validate(&IMPORT, &request).map_err(invalid)?;
    for org in list(&request["dataOrgs"], "orgs") {
        for (place, user) in list(org, "humanUsers").iter().enumerate() {
            match options.poison.iter().find(|(id, _)| id == text(user, "userId")) {
                Some((_, true)) => {
                    return Err(invalid(format!(
                        "invalid DataOrg.HumanUsers[{place}]: embedded message failed validation"
                    )));
                }
                Some((_, false)) => return Err(invalid("invalid request".to_owned())),
                None => {}
            }
        }
    }
    let timeout = text(&request, "timeout");
    let Some(timeout) = go_duration(timeout) else {
        return Err(Fail::unknown(&format!("time: invalid duration {timeout:?}")));
    };
    let orgs = list(&request["dataOrgs"], "orgs").to_vec();
    let crash = orgs.iter().any(|org| {
        let human = |data: &Value| {
            data["user"].is_null() || rules::hash(text(&data["user"]["hashedPassword"], "value")) == Hash::Crash
        };
        list(org, "humanUsers").iter().any(human)
            || list(org, "machineUsers").iter().any(|data| data["user"].is_null())
            || list(org, "projects").iter().any(|data| data["project"].is_null())
    });
    Ok(if crash { Checked::Crash } else { Checked::Run { orgs, timeout } })
}

/// A duration as Go writes them: `5m0s`, `300ms`, `1.5h`.
fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(total).ok())?
}

/// The report while it grows.
#[derive(Default)]
struct Report {
    errors: Vec<Value>,
    orgs: Vec<Map<String, Value>>,
}

impl Report {
    fn error(&mut self, kind: &str, id: &str, fail: &Fail) {
        self.errors.push(json!({"type": kind, "id": id, "message": fail.line()}));
    }

    fn stored(&mut self, at: usize, list: &str, what: Value) {
        if let Some(items) = self.orgs[at].entry(list).or_insert_with(|| json!([])).as_array_mut() {
            items.push(what);
        }
    }

    fn note(&mut self, at: usize, (kind, id): (&str, &str), (list, what): (&str, Value), result: Result<(), Fail>) {
        match result {
            Ok(()) => self.stored(at, list, what),
            Err(fail) => self.error(kind, id, &fail),
        }
    }

    /// As a real one wrote it, when a write took longer than 15 s.
    fn stumble(&mut self, user: &str) {
        let trouble = "unknown database error: failed to deallocate cached statement(s): conn closed";
        let message = format!("ID=V3-DKcYh Message=Errors.Internal\n{trouble}");
        self.errors.push(json!({"type": "human_user", "id": user, "message": message}));
    }

    fn body(self) -> Value {
        let mut body = json!({"success": {}});
        if !self.errors.is_empty() {
            body["errors"] = self.errors.into();
        }
        if !self.orgs.is_empty() {
            body["success"]["orgs"] = self.orgs.into_iter().map(Value::Object).collect();
        }
        body
    }
}

/// Simulated work: sleeps in pieces that the timer can measure, and gives the client's disconnect its chance.
struct Work {
    each: Duration,
    due: Instant,
}

impl Work {
    async fn one(&mut self) {
        self.due += self.each;
        if self.due > Instant::now() + Duration::from_millis(2) {
            sleep(self.due - Instant::now()).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

impl Server {
    /// Runs an import. When the future is dropped (timeout, client gone) what is stored stays stored.
    pub(super) async fn import(
        &self,
        orgs: Vec<Value>,
        timeout: Duration,
        (half, stumble): (bool, bool),
        editor: &str,
    ) -> Result<Value, Fail> {
        let expired = || Fail::unknown("context deadline exceeded");
        let users: usize = orgs.iter().map(|org| list(org, "humanUsers").len()).sum();
        let most = if half { users / 2 } else { usize::MAX };
        match tokio::time::timeout(timeout, self.run(&orgs, most, stumble, editor)).await {
            Ok(Some(report)) => Ok(report.body()),
            Ok(None) | Err(_) => Err(expired()),
        }
    }

    /// All phases; `None` when it stopped after `most` users.
    async fn run(&self, orgs: &[Value], most: usize, stumble: bool, editor: &str) -> Option<Report> {
        let each = self
            .options
            .import_users_per_second
            .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate.max(0.001)));
        let mut work = Work { each, due: Instant::now() };
        let mut report = Report::default();
        let mut users = 0;
        let mut taken = Vec::new();
        for org in orgs {
            let id = text(org, "orgId");
            if let Err(fail) = self.state().import_org(id, &org["org"], editor) {
                report.error("org", id, &fail);
                if fail.id != "ORG-lapo2n" {
                    continue;
                }
            }
            let at = report.orgs.len();
            report.orgs.push(json!({"orgId": id}).as_object().cloned().unwrap_or_default());
            taken.push((at, org));
            for data in list(org, "humanUsers") {
                if users == most {
                    return None;
                }
                work.one().await;
                users += 1;
                let stumbles = stumble && users % 2 == 1;
                self.human(&mut report, at, id, data, (editor, stumbles));
            }
            for data in list(org, "machineUsers") {
                work.one().await;
                let result = self.state().import_machine(id, data, editor);
                let user = text(data, "userId");
                report.note(at, ("machine_user", user), ("machineUserIds", user.into()), result);
            }
            for data in list(org, "userMetadata") {
                work.one().await;
                let (user, key) = (text(data, "id"), text(data, "key"));
                let result = self.state().set_metadata(user, std::slice::from_ref(data), "COMMAND-uXHNj", editor);
                let what = json!({"userId": user, "key": key});
                report.note(at, ("user_metadata", &format!("{user}_{key}")), ("userMetadata", what), result);
            }
            for data in list(org, "userLinks") {
                work.one().await;
                let (user, link) =
                    (text(data, "userId"), link_of(data, ["idpId", "providedUserId", "providedUserName"]));
                let what = json!({"userId": user, "externalUserId": link.user_id, "displayName": link.user_name, "idpId": link.idp_id});
                let entry = format!("{user}_{}", link.idp_id);
                let result = self.state().add_link(user, link, "COMMAND-uXHNj", "COMMAND-39nf2", editor).map(drop);
                report.note(at, ("user_link", &entry), ("userLinks", what), result);
            }
            for data in list(org, "projects") {
                let project = text(data, "projectId");
                let result = self.state().add_project(project, id, text(&data["project"], "name"));
                report.note(at, ("project", project), ("projectIds", project.into()), result);
            }
            for data in list(org, "projectRoles") {
                let line = format!("{}_{}", text(data, "projectId"), text(data, "roleKey"));
                let result = self.state().add_role(data);
                report.note(at, ("project_role", &line), ("projectRoles", line.as_str().into()), result);
            }
        }
        for &(at, org) in &taken {
            let id = text(org, "orgId");
            self.project_grants(&mut report, at, org);
            for data in list(org, "userGrants") {
                work.one().await;
                let (user, project) = (text(data, "userId"), text(data, "projectId"));
                let roles = list(data, "roleKeys").iter().filter_map(|role| role.as_str().map(str::to_owned)).collect();
                let result = self.state().add_grant(user, (project, id), roles, editor).map(drop);
                let what = json!({"projectId": project, "userId": user});
                report.note(at, ("user_grant", &format!("{id}_{project}_{user}")), ("userGrants", what), result);
            }
        }
        for &(at, org) in &taken {
            let id = text(org, "orgId");
            for data in list(org, "orgMembers") {
                let user = text(data, "userId");
                let roles = list(data, "roles").iter().filter_map(|role| role.as_str().map(str::to_owned)).collect();
                let mut state = self.state();
                let result = state.add_member(user, Some(id), roles);
                if result.is_ok() {
                    state.note(("org", id, id), "org.member.added", json!({"userId": user}), editor);
                }
                drop(state);
                report.note(at, ("org_member", &format!("{id}_{user}")), ("orgMembers", user.into()), result);
            }
        }
        Some(report)
    }

    fn project_grants(&self, report: &mut Report, at: usize, org: &Value) {
        let id = text(org, "orgId");
        for data in list(org, "projectGrants") {
            let grant = &data["projectGrant"];
            let (project, granted) = (text(grant, "projectId"), text(grant, "grantedOrgId"));
            let roles = list(grant, "roleKeys").iter().filter_map(|role| role.as_str().map(str::to_owned)).collect();
            let result = self.state().add_project_grant(project, granted, roles);
            let what = json!({"grantId": text(data, "grantId"), "projectId": project, "orgId": granted});
            report.note(at, ("project_grant", &format!("{id}_{project}_{granted}")), ("projectGrants", what), result);
        }
    }

    /// One human with what is inside. There is no stop after a failed user: its factors are still applied.
    fn human(&self, report: &mut Report, at: usize, org: &str, data: &Value, (editor, stumbles): (&str, bool)) {
        let mut state = self.state();
        let id = text(data, "userId");
        if stumbles {
            return report.stumble(id);
        }
        let result = state.import_human(org, data, editor).map(drop);
        report.note(at, ("human_user", id), ("humanUserIds", id.into()), result);
        let secret = text(&data["user"], "otpCode");
        if !secret.is_empty()
            && let Err(fail) = state.import_totp(id, secret, editor)
        {
            report.error("human_user_otp", id, &fail);
        }
        let codes = list(&data["user"], "recoveryCodes");
        if !codes.is_empty()
            && let Err(fail) = state.import_codes(id, codes, editor)
        {
            report.error("human_user_recovery_codes", id, &fail);
        }
    }
}

impl State {
    fn import_org(&mut self, id: &str, org: &Value, editor: &str) -> Result<(), Fail> {
        if self.orgs.contains_key(id) {
            return Err(Fail::new(Code::AlreadyExists, "ORG-lapo2n", "Errors.Org.AlreadyExisting"));
        }
        let name = text(org, "name");
        if name.is_empty() {
            return Err(Fail::new(Code::InvalidArgument, "COMM-deLSk", "Errors.Org.Invalid"));
        }
        no_nul(org)?;
        let id = if id.is_empty() { self.id() } else { id.to_owned() };
        self.add_org(&id, name)?;
        // The caller becomes the owner of what the import creates.
        self.add_member(editor, Some(&id), vec!["ORG_OWNER".to_owned()])
    }

    /// The outer `userId` of a machine is echoed and not used: only `user.userId` counts.
    fn import_machine(&mut self, org: &str, data: &Value, editor: &str) -> Result<(), Fail> {
        let from = &data["user"];
        let id = match text(from, "userId") {
            "" => self.id(),
            id => id.to_owned(),
        };
        let state = text(data, "state").to_owned();
        self.add_machine(&id, org, text(from, "userName"), text(from, "name"), editor)?;
        let (next, kind) = match state.as_str() {
            "USER_STATE_INACTIVE" => (UserState::Inactive, "user.deactivated"),
            "USER_STATE_LOCKED" => (UserState::Locked, "user.locked"),
            _ => return Ok(()),
        };
        let mut user = self.existing(&id, "COMMAND-uXHNj")?;
        user.state = next;
        self.commit(user, vec![(kind, None)], editor);
        Ok(())
    }

    pub(super) fn add_machine(
        &mut self,
        id: &str,
        org: &str,
        user_name: &str,
        name: &str,
        editor: &str,
    ) -> Result<(), Fail> {
        if self.users.get(id).is_some_and(super::state::User::exists) {
            return Err(Fail::new(Code::FailedPrecondition, "COMMAND-k2una", "Errors.User.AlreadyExisting"));
        }
        self.free_name(user_name, id, org)?;
        let mut user = self.fresh(id, org);
        user.machine = true;
        user_name.clone_into(&mut user.user_name);
        name.clone_into(&mut user.display_name);
        self.claim(&user);
        let payload = json!({"userName": user_name, "name": name});
        self.commit(user, vec![("user.machine.added", Some(payload))], editor);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        assert_eq!(go_duration("5m0s"), Some(Duration::from_mins(5)));
        assert_eq!(go_duration("300ms"), Some(Duration::from_millis(300)));
        assert_eq!(go_duration("1.5h"), Some(Duration::from_mins(90)));
        for bad in ["", "5", "s", "5x", "5 s"] {
            assert_eq!(go_duration(bad), None, "{bad}");
        }
    }
}
