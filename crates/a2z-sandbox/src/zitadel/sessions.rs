//! `POST /v2/sessions`: the password check, as a login does it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Server;
use super::answer::{Code, Fail};
use super::people::text;
use super::state::{Event, State, User, UserState, time};

impl Server {
    /// Checks user and password; a success renews the hash.
    pub(super) async fn create_session(&self, caller: &str, request: &Value) -> Result<Value, Fail> {
        self.state().require(caller, "session.write", None, "AUTH-AWfge")?;
        let checks = &request["checks"];
        let user = match (checks["user"]["userId"].as_str(), checks["user"]["loginName"].as_str()) {
            // By id the projection is read as it stands, by login name it is brought up to date first.
            (Some(id), _) => {
                let mut state = self.state();
                state.project();
                state.view.user(id).map(|user| user.id.clone())
            }
            (None, Some(name)) => {
                self.barrier().await;
                self.state().view.by_login_name(name)
            }
            (None, None) => None,
        };
        let id = user.ok_or_else(|| Fail::new(Code::NotFound, "QUERY-Dfbg2", "Errors.User.NotFound"))?;
        let user = self.state().existing(&id, "COMMAND-3n77z").map_err(|_| {
            // Deleted, and still shown.
            Fail::new(Code::FailedPrecondition, "COMMAND-3n77z", "Errors.User.NotFound")
        })?;
        if matches!(user.state, UserState::Inactive | UserState::Locked) {
            return Err(Fail::new(Code::FailedPrecondition, "SESSION-Gj4ko", "Errors.User.NotActive"));
        }
        if let Some(password) = checks["password"]["password"].as_str() {
            self.check_password(user, password.to_owned(), caller).await?;
        }
        let mut state = self.state();
        let (session, token, at) = (state.id(), state.id(), state.touch());
        let token = format!("sandbox-session-{token}");
        state.sessions.insert(session.clone(), token.clone());
        let by_password = checks["password"]["password"].is_string();
        state.session_events(&session, &id, by_password, caller, at);
        Ok(json!({
            "details": {"sequence": "4", "changeDate": time(at), "resourceOwner": state.instance},
            "sessionId": session,
            "sessionToken": token,
        }))
    }

    async fn check_password(&self, user: User, password: String, caller: &str) -> Result<(), Fail> {
        let Some(hash) = user.hash.clone() else {
            return Err(Fail::new(Code::FailedPrecondition, "COMMAND-3nJ4t", "Errors.User.Password.NotSet"));
        };
        if password.is_empty() {
            return Err(Fail::new(Code::InvalidArgument, "COMMAND-3n8fs", "Errors.User.Password.Empty"));
        }
        let cost =
            self.options.rehash_cost.filter(|cost| hash.get(4..6).and_then(|now| now.parse().ok()) != Some(*cost));
        let (long, given) = (password.len() > 72, password);
        let work = tokio::task::spawn_blocking(move || {
            let right = bcrypt::verify(&given, &hash).unwrap_or(false);
            (right, cost.filter(|_| right && !long).and_then(|cost| bcrypt::hash(&given, cost).ok()))
        });
        let (right, renewed) = work.await.unwrap_or_default();
        let mut state = self.state();
        let mut user = state.existing(&user.id, "QUERY-Dfbg2")?;
        if !right {
            user.failed_attempts += 1;
            let attempts = user.failed_attempts;
            state.commit(user, vec![("user.human.password.check.failed", None)], caller);
            let mut fail = Fail::new(Code::InvalidArgument, "COMMAND-3M0fs", "Errors.User.Password.Invalid");
            fail.attempts = Some(attempts);
            return Err(fail);
        }
        if long && cost.is_some() {
            // The hash matches, and cannot be renewed: bcrypt takes no more than 72 bytes.
            return Err(Fail::new(Code::Internal, "COMMAND-CahN2", "Errors.Internal"));
        }
        user.failed_attempts = 0;
        let mut events = vec![("user.human.password.check.succeeded", None)];
        if let Some(hash) = renewed {
            user.hash = Some(hash);
            events.push(("user.human.password.hash.updated", None));
        }
        state.commit(user, events, caller);
        Ok(())
    }
}

impl State {
    /// The events of a new session, in one transaction.
    fn session_events(&mut self, session: &str, user: &str, by_password: bool, editor: &str, at: Timestamp) {
        let checked = json!({"userID": user, "checkedAt": time(at)});
        let mut events = vec![("session.added", Some(json!({}))), ("session.user.checked", Some(checked))];
        if by_password {
            events.push(("session.password.checked", Some(json!({"checkedAt": time(at)}))));
        }
        events.push(("session.token.set", Some(json!({}))));
        for (sequence, (kind, payload)) in (1..).zip(events) {
            self.events.push(Event {
                aggregate: session.to_owned(),
                aggregate_type: "session",
                owner: self.instance.clone(),
                sequence,
                at,
                kind,
                payload,
                editor: editor.to_owned(),
            });
        }
    }

    /// `DELETE /v2/sessions/{id}`: one that does not exist is deleted, too.
    pub(super) fn delete_session(&mut self, caller: &str, id: &str, request: &Value) -> Result<Value, Fail> {
        if self.sessions.get(id).is_none_or(|token| token != text(request, "sessionToken")) {
            self.require(caller, "session.delete", None, "AUTH-AWfge")?;
        }
        let at = self.touch();
        self.sessions.remove(id);
        Ok(json!({"details": {"sequence": "5", "changeDate": time(at), "resourceOwner": self.instance}}))
    }
}
