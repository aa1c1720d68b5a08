//! `POST /v2/sessions`: the password check, as a login does it.

use serde_json::{Value, json};

use super::Server;
use super::answer::{Code, Fail};
use super::people::text;
use super::state::{State, User, UserState, time};

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
                state.view.users.get(id).map(|user| user.id.clone())
            }
            (None, Some(name)) => {
                self.barrier().await;
                let state = self.state();
                let id = state.names.get(&name.to_lowercase()).cloned();
                id.filter(|id| state.view.users.contains_key(id))
            }
            (None, None) => None,
        };
        let id = user.ok_or_else(|| Fail::new(Code::NotFound, "QUERY-Dfbg2", "Errors.User.NotFound"))?;
        let user = self.state().existing(&id, "QUERY-Dfbg2")?;
        if matches!(user.state, UserState::Inactive | UserState::Locked) {
            return Err(Fail::new(Code::FailedPrecondition, "SESSION-Gj4ko", "Errors.User.NotActive"));
        }
        if let Some(password) = checks["password"]["password"].as_str() {
            self.check_password(user, password.to_owned()).await?;
        }
        let mut state = self.state();
        let (session, token, at) = (state.id(), state.id(), state.touch());
        let token = format!("sandbox-session-{token}");
        state.sessions.insert(session.clone(), token.clone());
        Ok(json!({
            "details": {"sequence": "4", "changeDate": time(at), "resourceOwner": state.instance},
            "sessionId": session,
            "sessionToken": token,
        }))
    }

    async fn check_password(&self, user: User, password: String) -> Result<(), Fail> {
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
            state.commit(user, vec![("user.human.password.check.failed", None)], "");
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
        state.commit(user, events, "");
        Ok(())
    }
}

impl State {
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
