//! A projection of the sandbox's ZITADEL skips an event: what the outside then sees, what is refused, what brings it back.
//! The tables are those that were measured on a real ZITADEL (a97999e5c).

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use a2z::sandbox::zitadel::{Options, Projection, UserState, Zitadel};
use reqwest::{Client, Method};
use serde_json::{Value, json};

const ID: &str = "auth0|1";
const PATH: &str = "/v2/users/auth0%7C1";
const NAME: &str = "ada";
const KEY: &str = "plan";

/// One instance with one user, who has everything.
struct Bed {
    zitadel: Zitadel,
    idp: String,
    grant: String,
}

/// What the outside sees of the user.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    get: u16,
    login_name: bool,
    found_by_id: usize,
    found_by_login_name: usize,
    session_by_login_name: u16,
    session_by_id: u16,
    metadata: usize,
    links: usize,
    grants: usize,
    methods: String,
}

fn whole() -> Seen {
    Seen {
        get: 200,
        login_name: true,
        found_by_id: 1,
        found_by_login_name: 1,
        session_by_login_name: 201,
        session_by_id: 201,
        metadata: 2,
        links: 1,
        grants: 1,
        methods: "TOTP OTP_SMS OTP_EMAIL PASSWORD IDP".to_owned(),
    }
}

/// The same without its row in one projection.
fn without(projection: Projection) -> Seen {
    let methods = |methods: &str| methods.to_owned();
    match projection {
        Projection::Users => Seen {
            get: 404,
            login_name: false,
            found_by_id: 0,
            found_by_login_name: 0,
            session_by_login_name: 404,
            session_by_id: 404,
            methods: String::new(),
            ..whole()
        },
        Projection::LoginNames => {
            Seen { login_name: false, found_by_login_name: 0, session_by_login_name: 404, grants: 0, ..whole() }
        }
        Projection::Metadata => Seen { metadata: 0, ..whole() },
        Projection::Links => Seen { links: 0, methods: methods("TOTP OTP_SMS OTP_EMAIL PASSWORD"), ..whole() },
        Projection::Factors => Seen { methods: methods("OTP_SMS OTP_EMAIL PASSWORD IDP"), ..whole() },
        Projection::Grants => Seen { grants: 0, ..whole() },
    }
}

impl Bed {
    /// The user, created after the projections were told what to skip.
    async fn new(skip: impl Fn(&Zitadel)) -> Self {
        let zitadel = Zitadel::start(Options::default()).await.unwrap();
        let idp = zitadel.add_idp("google", "Google", "client", true);
        let mut bed = Self { zitadel, idp, grant: String::new() };
        let main = bed.zitadel.organization_id.clone();
        let project = json!({"organizationId": main, "projectId": "p", "name": "P"});
        bed.ok("zitadel.project.v2.ProjectService/CreateProject", project).await;
        for role in ["admin", "reader"] {
            let role = json!({"projectId": "p", "roleKey": role, "displayName": "x"});
            bed.ok("zitadel.project.v2.ProjectService/AddProjectRole", role).await;
        }
        skip(&bed.zitadel);
        bed.ok("v2/users/new", bed.body()).await;
        for kind in ["otp_sms", "otp_email"] {
            bed.ok(&format!("{PATH}/{kind}"), json!({})).await;
        }
        let grant = bed.ok("zitadel.authorization.v2.AuthorizationService/CreateAuthorization", bed.roles()).await;
        grant["id"].as_str().unwrap().clone_into(&mut bed.grant);
        bed
    }

    fn body(&self) -> Value {
        json!({
            "organizationId": self.zitadel.organization_id, "userId": ID, "username": NAME,
            "human": {
                "profile": {"givenName": "Ada", "familyName": "Lovelace"},
                "email": {"email": "ada@example.com", "isVerified": true},
                "phone": {"phone": "+41791234567", "isVerified": true},
                "password": {"password": "Secr3t-pass!"},
                "metadata": [{"key": KEY, "value": "cHJv"}, {"key": "b", "value": "Yg=="}],
                "idpLinks": [self.link()],
                "totpSecret": "TJOPWSDYILLHXFV4MLKNNJOWFG7VSDCK",
            },
        })
    }

    fn link(&self) -> Value {
        json!({"idpId": self.idp, "userId": "ext-1", "userName": "ada"})
    }

    fn roles(&self) -> Value {
        let main = &self.zitadel.organization_id;
        json!({"userId": ID, "projectId": "p", "organizationId": main, "roleKeys": ["admin"]})
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let url = self.zitadel.url.join(path).unwrap();
        let request = Client::builder().no_proxy().build().unwrap().request(method, url);
        let answer = request.bearer_auth(&self.zitadel.token).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    async fn ok(&self, path: &str, body: Value) -> Value {
        let (status, body) = self.call(Method::POST, path, body).await;
        assert!(status == 200 || status == 201, "{path}: {status} {body}");
        body
    }

    /// Status and error id.
    async fn refused(&self, method: Method, path: &str, body: Value) -> (u16, String) {
        let (status, body) = self.call(method, path, body).await;
        let detail = &body["details"][0];
        (status, detail["id"].as_str().or(detail["debug"]["id"].as_str()).unwrap_or_default().to_owned())
    }

    async fn seen(&self) -> Seen {
        let (get, user) = self.call(Method::GET, PATH, json!({})).await;
        let found = async |query: Value| {
            self.ok("v2/users", json!({"queries": [query]})).await["result"].as_array().map_or(0, Vec::len)
        };
        let session = async |user: Value| {
            let checks = json!({"checks": {"user": user, "password": {"password": "Secr3t-pass!"}}});
            self.call(Method::POST, "v2/sessions", checks).await.0
        };
        let list = async |path: &str, name: &str| self.ok(path, json!({})).await[name].as_array().map_or(0, Vec::len);
        let methods = self.call(Method::GET, &format!("{PATH}/authentication_methods"), json!({})).await.1;
        let methods = methods["authMethodTypes"].as_array().cloned().unwrap_or_default();
        let methods: Vec<_> =
            methods.iter().map(|kind| kind.as_str().unwrap().replace("AUTHENTICATION_METHOD_TYPE_", "")).collect();
        let by_name = json!({"loginNameQuery": {"loginName": NAME}});
        Seen {
            get,
            login_name: user["user"]["preferredLoginName"] == NAME,
            found_by_id: found(json!({"inUserIdsQuery": {"userIds": [ID]}})).await,
            found_by_login_name: found(by_name).await,
            session_by_login_name: session(json!({"loginName": NAME})).await,
            session_by_id: session(json!({"userId": ID})).await,
            metadata: list(&format!("{PATH}/metadata/search"), "metadata").await,
            links: list(&format!("{PATH}/links/_search"), "result").await,
            grants: list("zitadel.authorization.v2.AuthorizationService/ListAuthorizations", "authorizations").await,
            methods: methods.join(" "),
        }
    }

    async fn user(&self) -> Value {
        self.call(Method::GET, PATH, json!({})).await.1["user"].take()
    }

    async fn events(&self) -> usize {
        let all = self.ok("admin/v1/events/_search", json!({"aggregateTypes": ["user", "usergrant"]})).await;
        all["events"].as_array().unwrap().iter().filter(|event| event["aggregate"]["id"] != "").count()
    }

    /// Sends these one after the other; how many events that made.
    async fn remedy(&self, calls: &[Call]) -> usize {
        let before = self.events().await;
        for (method, path, body) in calls {
            let (status, answer) = self.call(method.clone(), path, body.clone()).await;
            assert!(status < 300, "{path}: {status} {answer}");
        }
        self.events().await - before
    }

    fn metadata(value: &str) -> Call {
        post("/metadata", json!({"metadata": [{"key": KEY, "value": value}]}))
    }

    fn grant(method: &str, body: Value) -> Call {
        (Method::POST, format!("zitadel.authorization.v2.AuthorizationService/{method}"), body)
    }
}

type Call = (Method, String, Value);

fn post(path: &str, body: Value) -> Call {
    (Method::POST, format!("{PATH}{path}"), body)
}

fn patch(body: Value) -> Call {
    (Method::PATCH, PATH.to_owned(), body)
}

fn delete(path: &str) -> Call {
    (Method::DELETE, format!("{PATH}{path}"), json!({}))
}

const ALL: [Projection; 6] = [
    Projection::Users,
    Projection::LoginNames,
    Projection::Metadata,
    Projection::Links,
    Projection::Factors,
    Projection::Grants,
];

async fn skipping(projection: Projection) -> Bed {
    Bed::new(|zitadel| zitadel.skip(projection, [ID.to_owned()])).await
}

#[tokio::test]
async fn what_the_outside_sees_without_a_row() {
    assert_eq!(Bed::new(|_| {}).await.seen().await, whole());
    for projection in ALL {
        assert_eq!(skipping(projection).await.seen().await, without(projection), "{projection:?}");
    }
}

/// Commands read the events: they know the user, and refuse what is there and not shown.
#[tokio::test]
async fn what_is_stored_is_refused_though_it_is_not_shown() {
    for projection in ALL {
        let bed = skipping(projection).await;
        for (call, status, id) in [
            ((Method::POST, "v2/users/new".to_owned(), bed.body()), 400, "COMMAND-7yiox1isql"),
            (post("/links", json!({"idpLink": bed.link()})), 409, "V3-DKcYh"),
            (post("/otp_sms", json!({})), 409, "COMMAND-Ad3g2"),
            (post("/otp_email", json!({})), 409, "COMMAND-MKL2s"),
            (post("/reactivate", json!({})), 400, "COMMAND-s5qqcz97hf"),
            (Bed::grant("CreateAuthorization", bed.roles()), 409, "V3-DKcYh"),
        ] {
            let (method, path, body) = call;
            assert_eq!(bed.refused(method, &path, body).await, (status, id.to_owned()), "{projection:?} {path}");
        }
        // The same once more is no event.
        let same = [
            Bed::metadata("cHJv"),
            patch(json!({"username": NAME, "human": {"email": {"email": "ada@example.com", "isVerified": true}}})),
            Bed::grant("UpdateAuthorization", json!({"id": bed.grant, "roleKeys": ["admin"]})),
        ];
        assert_eq!(bed.remedy(&same).await, 0, "{projection:?}");
        assert_eq!(bed.seen().await, without(projection), "{projection:?}");
    }
}

#[tokio::test]
async fn nothing_but_its_own_remedy_brings_a_row_back() {
    let name = |first: &str| patch(json!({"human": {"profile": {"givenName": first, "familyName": "Lovelace"}}}));
    let user_name = |name: &str| patch(json!({"username": name, "human": {}}));
    let email = |address: &str| patch(json!({"human": {"email": {"email": address, "isVerified": true}}}));
    let others = [
        vec![name("Other"), name("Ada")],
        vec![user_name("other"), user_name(NAME)],
        vec![email("other@example.com"), email("ada@example.com")],
        vec![post("/deactivate", json!({})), post("/reactivate", json!({}))],
        vec![post("/lock", json!({})), post("/unlock", json!({}))],
        vec![patch(json!({"human": {"password": {"password": {"password": "Secr3t-pass!"}}}}))],
        vec![
            post("/email/send", json!({"returnCode": {}})),
            post("/email/verify", json!({"verificationCode": "482913"})),
        ],
        vec![post("/metadata", json!({"metadata": [{"key": "other", "value": "eA=="}]}))],
    ];
    for projection in ALL {
        let bed = skipping(projection).await;
        for calls in &others {
            assert!(bed.remedy(calls).await > 0);
        }
        let method = (Method::POST, "zitadel.user.v2.UserService/DeleteUserMetadata".to_owned());
        bed.remedy(&[(method.0, method.1, json!({"userId": ID, "keys": ["other"]}))]).await;
        assert_eq!(bed.seen().await, without(projection), "{projection:?}");
    }
    // Roles there and back are two events, and no row.
    let bed = skipping(Projection::Grants).await;
    let roles = |roles: &[&str]| Bed::grant("UpdateAuthorization", json!({"id": bed.grant, "roleKeys": roles}));
    assert_eq!(bed.remedy(&[roles(&["admin", "reader"]), roles(&["admin"])]).await, 2);
    assert_eq!(bed.seen().await, without(Projection::Grants));
}

#[tokio::test]
async fn what_brings_a_row_back() {
    // Another value, then the right one: all keys of the one transaction are gone, and each comes back for itself.
    let bed = skipping(Projection::Metadata).await;
    assert_eq!(bed.remedy(&[Bed::metadata("eA=="), Bed::metadata("cHJv")]).await, 2);
    assert_eq!(bed.seen().await, Seen { metadata: 1, ..whole() });

    let bed = skipping(Projection::Links).await;
    let calls = [delete(&format!("/links/{}/ext-1", bed.idp)), post("/links", json!({"idpLink": bed.link()}))];
    assert_eq!(bed.remedy(&calls).await, 2);
    assert_eq!(bed.seen().await, whole());

    let bed = skipping(Projection::Grants).await;
    let calls =
        [Bed::grant("DeleteAuthorization", json!({"id": bed.grant})), Bed::grant("CreateAuthorization", bed.roles())];
    assert_eq!(bed.remedy(&calls).await, 2);
    assert_eq!(bed.seen().await, whole());

    for (kind, event) in [("otp_sms", "user.human.mfa.otp.sms.added"), ("otp_email", "user.human.mfa.otp.email.added")]
    {
        let bed = Bed::new(|zitadel| zitadel.skip_event(Projection::Factors, event, [ID.to_owned()])).await;
        assert_ne!(bed.seen().await, whole(), "{kind}");
        assert_eq!(bed.remedy(&[delete(&format!("/{kind}")), post(&format!("/{kind}"), json!({}))]).await, 2);
        assert_eq!(bed.seen().await, whole(), "{kind}");
    }
}

/// Only a new creation brings back the rows of users and login names.
#[tokio::test]
async fn delete_and_create_bring_a_user_back() {
    for projection in [Projection::Users, Projection::LoginNames] {
        let bed = skipping(projection).await;
        let main = bed.zitadel.organization_id.clone();
        let place = (ID.to_owned(), "p".to_owned(), main);
        bed.remedy(&[delete("")]).await;
        // The list hides the grants of a user without a login name, and so the deletion forgets them.
        let forgotten = projection == Projection::LoginNames;
        assert_eq!(bed.zitadel.structure().grants.contains_key(&place), forgotten, "{projection:?}");
        bed.ok("v2/users/new", bed.body()).await;
        let (method, path, body) = Bed::grant("CreateAuthorization", bed.roles());
        let again = bed.refused(method, &path, body).await;
        if forgotten {
            assert_eq!(again, (409, "V3-DKcYh".to_owned()));
            let calls = [
                Bed::grant("DeleteAuthorization", json!({"id": bed.grant})),
                Bed::grant("CreateAuthorization", bed.roles()),
            ];
            assert_eq!(bed.remedy(&calls).await, 2);
        } else {
            assert_eq!(again.0, 200);
        }
        let methods = "TOTP PASSWORD IDP".to_owned();
        assert_eq!(bed.seen().await, Seen { methods, ..whole() }, "{projection:?}");
    }
}

/// A deletion forgets a grant that was skipped itself; one that is deleted by its id first is not in the way.
#[tokio::test]
async fn a_deletion_forgets_a_grant_that_is_not_shown() {
    for first in [false, true] {
        let bed = skipping(Projection::Grants).await;
        if first {
            bed.remedy(&[Bed::grant("DeleteAuthorization", json!({"id": bed.grant}))]).await;
        }
        bed.remedy(&[delete("")]).await;
        bed.ok("v2/users/new", bed.body()).await;
        let (method, path, body) = Bed::grant("CreateAuthorization", bed.roles());
        assert_eq!(bed.refused(method, &path, body).await.0, if first { 200 } else { 409 });
    }
}

/// An event that leaves an old value if it is skipped.
struct Old {
    projection: Projection,
    event: &'static str,
    /// What writes the event.
    calls: Vec<Call>,
    /// What does not help.
    useless: Vec<Call>,
    /// What helps.
    remedy: Vec<Call>,
    /// Where it shows, and the right value.
    place: &'static str,
    value: Value,
}

fn old_values() -> Vec<Old> {
    let new_name = |name: &str| patch(json!({"human": {"profile": {"givenName": name, "familyName": "Lovelace"}}}));
    let both = |first: &str, last: &str| patch(json!({"human": {"profile": {"givenName": first, "familyName": last}}}));
    let email = |address: &str| patch(json!({"human": {"email": {"email": address, "isVerified": true}}}));
    let phone = |number: &str| patch(json!({"human": {"phone": {"phone": number, "isVerified": true}}}));
    let user_name = |name: &str| patch(json!({"username": name, "human": {}}));
    vec![
        Old {
            projection: Projection::Users,
            event: "user.human.profile.changed",
            calls: vec![both("Grace", "Hopper")],
            useless: vec![both("Grace", "Hopper"), new_name("x"), both("Grace", "Lovelace")],
            remedy: vec![both("x", "y"), both("Grace", "Hopper")],
            place: "/human/profile/familyName",
            value: json!("Hopper"),
        },
        Old {
            projection: Projection::Users,
            event: "user.human.email.changed",
            calls: vec![email("grace@example.com")],
            useless: vec![email("grace@example.com")],
            remedy: vec![email("x@example.com"), email("grace@example.com")],
            place: "/human/email/email",
            value: json!("grace@example.com"),
        },
        Old {
            projection: Projection::Users,
            event: "user.human.phone.changed",
            calls: vec![phone("+41791234568")],
            useless: vec![phone("+41791234568")],
            remedy: vec![phone("+41791234569"), phone("+41791234568")],
            place: "/human/phone/phone",
            value: json!("+41791234568"),
        },
        Old {
            projection: Projection::Users,
            event: "user.username.changed",
            calls: vec![user_name("grace")],
            useless: vec![user_name("grace")],
            remedy: vec![user_name("x"), user_name("grace")],
            place: "/username",
            value: json!("grace"),
        },
        Old {
            projection: Projection::LoginNames,
            event: "user.username.changed",
            calls: vec![user_name("grace")],
            useless: vec![user_name("grace")],
            remedy: vec![user_name("x"), user_name("grace")],
            place: "/preferredLoginName",
            value: json!("grace"),
        },
        Old {
            projection: Projection::Users,
            event: "user.deactivated",
            calls: vec![post("/deactivate", json!({}))],
            useless: vec![],
            remedy: vec![post("/reactivate", json!({})), post("/deactivate", json!({}))],
            place: "/state",
            value: json!("USER_STATE_INACTIVE"),
        },
        Old {
            projection: Projection::Users,
            event: "user.locked",
            calls: vec![post("/lock", json!({}))],
            useless: vec![],
            remedy: vec![post("/unlock", json!({})), post("/lock", json!({}))],
            place: "/state",
            value: json!("USER_STATE_LOCKED"),
        },
        Old {
            projection: Projection::Users,
            event: "user.human.email.verified",
            calls: vec![email("grace@example.com")],
            useless: vec![email("grace@example.com")],
            remedy: vec![
                post("/email/send", json!({"returnCode": {}})),
                post("/email/verify", json!({"verificationCode": "482913"})),
            ],
            place: "/human/email/isVerified",
            value: json!(true),
        },
    ]
}

/// A later event was skipped: the row has an old value, and the same value once more changes nothing.
#[tokio::test]
async fn an_old_value_stays_until_another_is_written() {
    for Old { projection, event, calls, useless, remedy, place, value } in old_values() {
        let bed = Bed::new(|_| {}).await;
        bed.zitadel.skip_event(projection, event, [ID.to_owned()]);
        bed.remedy(&calls).await;
        assert_ne!(bed.user().await.pointer(place), Some(&value), "{projection:?} {event}");
        bed.remedy(&useless).await;
        assert_ne!(bed.user().await.pointer(place), Some(&value), "{projection:?} {event}");
        bed.remedy(&remedy).await;
        assert_eq!(bed.user().await.pointer(place), Some(&value), "{projection:?} {event}");
        assert_eq!(bed.zitadel.mails(), [], "{projection:?} {event}");
    }
    // A deactivated user whose row says active is refused once more, and cannot be locked.
    let bed = Bed::new(|_| {}).await;
    bed.zitadel.skip_event(Projection::Users, "user.deactivated", [ID.to_owned()]);
    bed.remedy(&[post("/deactivate", json!({}))]).await;
    for (verb, id) in [("deactivate", "COMMAND-5gunjw0cd7"), ("lock", "COMMAND-lgws8wtsqf")] {
        let refused = bed.refused(Method::POST, &format!("{PATH}/{verb}"), json!({})).await;
        assert_eq!(refused, (400, id.to_owned()));
    }
    assert_eq!(bed.zitadel.store()[ID].state, UserState::Inactive);
}

#[tokio::test]
async fn an_old_value_of_a_grant() {
    let bed = Bed::new(|_| {}).await;
    let list = "zitadel.authorization.v2.AuthorizationService/ListAuthorizations";
    let change = |roles: &[&str]| Bed::grant("UpdateAuthorization", json!({"id": bed.grant, "roleKeys": roles}));
    let roles = async || bed.ok(list, json!({})).await["authorizations"][0]["roles"].as_array().unwrap().len();
    bed.zitadel.skip_event(Projection::Grants, "user.grant.changed", [ID.to_owned()]);
    bed.remedy(&[change(&["admin", "reader"])]).await;
    assert_eq!(roles().await, 1);
    assert_eq!(bed.remedy(&[change(&["admin", "reader"])]).await, 0);
    assert_eq!(roles().await, 1);
    bed.remedy(&[change(&["admin"]), change(&["admin", "reader"])]).await;
    assert_eq!(roles().await, 2);
}

/// A removal was skipped.
#[tokio::test]
async fn ghosts() {
    let ghost = async |projection, kind, call: &dyn Fn(&Bed) -> Call| {
        let bed = Bed::new(|_| {}).await;
        bed.zitadel.skip_event(projection, kind, [ID.to_owned()]);
        bed.remedy(&[call(&bed)]).await;
        bed
    };
    // A user: shown, without a login name, and refused everything.
    let bed = ghost(Projection::Users, "user.removed", &|_| delete("")).await;
    let seen = bed.seen().await;
    assert_eq!((seen.get, seen.login_name, seen.found_by_id, seen.session_by_login_name), (200, false, 1, 404));
    let by_id = json!({"checks": {"user": {"userId": ID}}});
    assert_eq!(bed.refused(Method::POST, "v2/sessions", by_id).await, (400, "COMMAND-3n77z".to_owned()));
    for (method, path) in [(Method::DELETE, PATH.to_owned()), (Method::POST, format!("{PATH}/lock"))] {
        assert_eq!(bed.refused(method, &path, json!({})).await.0, 404, "{path}");
    }
    let created = bed.user().await["details"]["creationDate"].clone();
    bed.ok("v2/users/new", bed.body()).await;
    assert_eq!(bed.user().await["details"]["creationDate"], created, "the old row stays");
    assert_eq!(bed.seen().await, Seen { grants: 0, methods: "TOTP PASSWORD IDP".into(), ..whole() });
    bed.remedy(&[delete("")]).await;
    assert_eq!(bed.seen().await.get, 404);

    // A metadata key, a link: writing and removing it once more.
    let remove = || {
        let path = "zitadel.user.v2.UserService/DeleteUserMetadata".to_owned();
        (Method::POST, path, json!({"userId": ID, "keys": [KEY]}))
    };
    let bed = ghost(Projection::Metadata, "user.metadata.removed", &|_| remove()).await;
    assert_eq!(bed.seen().await, whole());
    assert_eq!(bed.refused(Method::POST, &remove().1, remove().2).await, (404, "META-2nnds".to_owned()));
    bed.remedy(&[Bed::metadata("eA=="), remove()]).await;
    assert_eq!(bed.seen().await, Seen { metadata: 1, ..whole() });

    let unlink = |bed: &Bed| delete(&format!("/links/{}/ext-1", bed.idp));
    let bed = ghost(Projection::Links, "user.human.externalidp.removed", &unlink).await;
    assert_eq!(bed.seen().await, whole());
    assert_eq!(bed.refused(Method::DELETE, &unlink(&bed).1, json!({})).await.0, 404);
    bed.remedy(&[post("/links", json!({"idpLink": bed.link()})), unlink(&bed)]).await;
    assert_eq!(bed.seen().await, without(Projection::Links));

    // A grant: nothing removes it, and the next one stands beside it. It goes with the user.
    let take = |bed: &Bed| Bed::grant("DeleteAuthorization", json!({"id": bed.grant}));
    let bed = ghost(Projection::Grants, "user.grant.removed", &take).await;
    assert_eq!(bed.seen().await, whole());
    assert_eq!(bed.zitadel.structure().grants.len(), 0);
    let (method, path, _) = Bed::grant("UpdateAuthorization", json!({}));
    let change = json!({"id": bed.grant, "roleKeys": ["reader"]});
    assert_eq!(bed.refused(method, &path, change).await, (404, "COMMAND-3M9sd".to_owned()));
    assert_eq!(bed.remedy(&[take(&bed)]).await, 0);
    bed.remedy(&[Bed::grant("CreateAuthorization", bed.roles())]).await;
    assert_eq!(bed.seen().await.grants, 2);
    bed.remedy(&[delete("")]).await;
    assert_eq!(bed.seen().await.grants, 0);
}
