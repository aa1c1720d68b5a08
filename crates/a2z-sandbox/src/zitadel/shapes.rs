//! The messages that the sandbox decodes and validates: names, numbers and rules as in ZITADEL's .proto files.

use super::schema::{Also, Field, Kind, Message};

const STATES: &[&str] = &[
    "USER_STATE_UNSPECIFIED",
    "USER_STATE_ACTIVE",
    "USER_STATE_INACTIVE",
    "USER_STATE_DELETED",
    "USER_STATE_LOCKED",
    "USER_STATE_SUSPEND",
    "USER_STATE_INITIAL",
];
const GENDERS: &[&str] = &["GENDER_UNSPECIFIED", "GENDER_FEMALE", "GENDER_MALE", "GENDER_DIVERSE"];
const TOKEN_TYPES: &[&str] = &["ACCESS_TOKEN_TYPE_BEARER", "ACCESS_TOKEN_TYPE_JWT"];

/// A row of a table below.
const fn field(name: &'static str, number: u32, many: bool, optional: bool, kind: Kind) -> Field {
    Field { name, number, many, optional, kind }
}

const MANY: bool = true;
const ONE: bool = false;
const OPTIONAL: bool = true;
const PLAIN: bool = false;

const fn text(min: usize, max: usize) -> Kind {
    Kind::Text { min, max, also: Also::Nothing }
}

const fn message(of: &'static Message) -> Kind {
    Kind::Message { of, required: false }
}

const fn required(of: &'static Message) -> Kind {
    Kind::Message { of, required: true }
}

const ANY_TEXT: Kind = text(0, usize::MAX);
const BOOL: Kind = Kind::Bool { only_true: false };
const VALUE: Kind = Kind::Bytes { min: 1, max: 500_000 };

/// `POST /admin/v1/import`, of its sources the one in the request itself.
pub(super) static IMPORT: Message = Message {
    name: "ImportDataRequest",
    fields: &[field("dataOrgs", 1, ONE, OPTIONAL, message(&IMPORT_ORGS)), field("timeout", 9, ONE, PLAIN, ANY_TEXT)],
    one_of: None,
};

static IMPORT_ORGS: Message =
    Message { name: "ImportDataOrg", fields: &[field("orgs", 1, MANY, PLAIN, message(&DATA_ORG))], one_of: None };

static DATA_ORG: Message = Message {
    name: "DataOrg",
    fields: &[
        field("orgId", 1, ONE, PLAIN, ANY_TEXT),
        field("org", 3, ONE, PLAIN, message(&ADD_ORG)),
        field("domainPolicy", 4, ONE, PLAIN, Kind::Any),
        field("labelPolicy", 5, ONE, PLAIN, Kind::Any),
        field("lockoutPolicy", 6, ONE, PLAIN, Kind::Any),
        field("loginPolicy", 7, ONE, PLAIN, Kind::Any),
        field("passwordComplexityPolicy", 8, ONE, PLAIN, Kind::Any),
        field("privacyPolicy", 9, ONE, PLAIN, Kind::Any),
        field("projects", 10, MANY, PLAIN, message(&DATA_PROJECT)),
        field("projectRoles", 11, MANY, PLAIN, message(&PROJECT_ROLE)),
        field("humanUsers", 14, MANY, PLAIN, message(&DATA_HUMAN)),
        field("machineUsers", 15, MANY, PLAIN, message(&DATA_MACHINE)),
        field("projectGrants", 18, MANY, PLAIN, message(&DATA_PROJECT_GRANT)),
        field("userGrants", 19, MANY, PLAIN, message(&USER_GRANT)),
        field("orgMembers", 20, MANY, PLAIN, message(&ORG_MEMBER)),
        field("userMetadata", 23, MANY, PLAIN, message(&USER_METADATA)),
        field("userLinks", 36, MANY, PLAIN, message(&USER_LINK)),
        field("domains", 37, MANY, PLAIN, Kind::Any),
    ],
    one_of: None,
};

static ADD_ORG: Message =
    Message { name: "AddOrgRequest", fields: &[field("name", 1, ONE, PLAIN, text(1, 200))], one_of: None };

static DATA_PROJECT: Message = Message {
    name: "DataProject",
    fields: &[field("projectId", 1, ONE, PLAIN, ANY_TEXT), field("project", 2, ONE, PLAIN, message(&ADD_PROJECT))],
    one_of: None,
};

static ADD_PROJECT: Message = Message {
    name: "AddProjectRequest",
    fields: &[
        field("name", 1, ONE, PLAIN, text(1, 200)),
        field("projectRoleAssertion", 2, ONE, PLAIN, BOOL),
        field("projectRoleCheck", 3, ONE, PLAIN, BOOL),
        field("hasProjectCheck", 4, ONE, PLAIN, BOOL),
    ],
    one_of: None,
};

static DATA_PROJECT_GRANT: Message = Message {
    name: "DataProjectGrant",
    fields: &[field("grantId", 1, ONE, PLAIN, ANY_TEXT), field("projectGrant", 2, ONE, PLAIN, message(&PROJECT_GRANT))],
    one_of: None,
};

static PROJECT_GRANT: Message = Message {
    name: "AddProjectGrantRequest",
    fields: &[
        field("projectId", 1, ONE, PLAIN, text(1, 200)),
        field("grantedOrgId", 2, ONE, PLAIN, text(1, 200)),
        field("roleKeys", 3, MANY, PLAIN, ANY_TEXT),
    ],
    one_of: None,
};

static PROJECT_ROLE: Message = Message {
    name: "AddProjectRoleRequest",
    fields: &[
        field("projectId", 1, ONE, PLAIN, text(1, 200)),
        field("roleKey", 2, ONE, PLAIN, text(1, 200)),
        field("displayName", 3, ONE, PLAIN, text(1, 200)),
        field("group", 4, ONE, PLAIN, text(0, 200)),
    ],
    one_of: None,
};

static DATA_HUMAN: Message = Message {
    name: "DataHumanUser",
    fields: &[
        field("userId", 1, ONE, PLAIN, ANY_TEXT),
        field("user", 2, ONE, PLAIN, message(&HUMAN)),
        field("state", 3, ONE, PLAIN, Kind::Choice(STATES)),
    ],
    one_of: None,
};

static DATA_MACHINE: Message = Message {
    name: "DataMachineUser",
    fields: &[
        field("userId", 1, ONE, PLAIN, ANY_TEXT),
        field("user", 2, ONE, PLAIN, message(&MACHINE_V1)),
        field("state", 3, ONE, PLAIN, Kind::Choice(STATES)),
    ],
    one_of: None,
};

static MACHINE_V1: Message = Message {
    name: "AddMachineUserRequest",
    fields: &[
        field("userName", 1, ONE, PLAIN, text(1, 200)),
        field("name", 2, ONE, PLAIN, text(1, 200)),
        field("description", 3, ONE, PLAIN, text(0, 500)),
        field("accessTokenType", 4, ONE, PLAIN, Kind::Choice(TOKEN_TYPES)),
        field("userId", 5, ONE, OPTIONAL, text(1, 200)),
    ],
    one_of: None,
};

static USER_GRANT: Message = Message {
    name: "AddUserGrantRequest",
    fields: &[
        field("userId", 1, ONE, PLAIN, text(1, 200)),
        field("projectId", 2, ONE, PLAIN, text(1, 200)),
        field("projectGrantId", 3, ONE, PLAIN, text(0, 200)),
        field("roleKeys", 4, MANY, PLAIN, ANY_TEXT),
    ],
    one_of: None,
};

static ORG_MEMBER: Message = Message {
    name: "AddOrgMemberRequest",
    fields: &[field("userId", 1, ONE, PLAIN, text(1, 200)), field("roles", 2, MANY, PLAIN, ANY_TEXT)],
    one_of: None,
};

static USER_METADATA: Message = Message {
    name: "SetUserMetadataRequest",
    fields: &[
        field("id", 1, ONE, PLAIN, text(1, 200)),
        field("key", 2, ONE, PLAIN, text(1, 200)),
        field("value", 3, ONE, PLAIN, VALUE),
    ],
    one_of: None,
};

static USER_LINK: Message = Message {
    name: "IDPUserLink",
    fields: &[
        field("userId", 1, ONE, PLAIN, ANY_TEXT),
        field("idpId", 2, ONE, PLAIN, ANY_TEXT),
        field("idpName", 3, ONE, PLAIN, ANY_TEXT),
        field("providedUserId", 4, ONE, PLAIN, ANY_TEXT),
        field("providedUserName", 5, ONE, PLAIN, ANY_TEXT),
    ],
    one_of: None,
};

static HUMAN: Message = Message {
    name: "ImportHumanUserRequest",
    fields: &[
        field("userName", 1, ONE, PLAIN, text(1, 200)),
        field("profile", 2, ONE, PLAIN, required(&PROFILE)),
        field("email", 3, ONE, PLAIN, required(&EMAIL)),
        field("phone", 4, ONE, PLAIN, message(&PHONE)),
        field("password", 5, ONE, PLAIN, ANY_TEXT),
        field("hashedPassword", 6, ONE, PLAIN, message(&HASHED)),
        field("passwordChangeRequired", 7, ONE, PLAIN, BOOL),
        field("requestPasswordlessRegistration", 8, ONE, PLAIN, BOOL),
        field("otpCode", 9, ONE, PLAIN, ANY_TEXT),
        field("idps", 10, MANY, PLAIN, message(&IDP)),
        field("recoveryCodes", 11, MANY, PLAIN, message(&RECOVERY)),
    ],
    one_of: None,
};

static PROFILE: Message = Message {
    name: "ImportHumanUserRequest_Profile",
    fields: &[
        field("firstName", 1, ONE, PLAIN, text(1, 200)),
        field("lastName", 2, ONE, PLAIN, text(1, 200)),
        field("nickName", 3, ONE, PLAIN, text(0, 200)),
        field("displayName", 4, ONE, PLAIN, text(0, 200)),
        field("preferredLanguage", 5, ONE, PLAIN, text(0, 10)),
        field("gender", 6, ONE, PLAIN, Kind::Choice(GENDERS)),
    ],
    one_of: None,
};

static EMAIL: Message = Message {
    name: "ImportHumanUserRequest_Email",
    fields: &[field("email", 1, ONE, PLAIN, text(1, 200)), field("isEmailVerified", 2, ONE, PLAIN, BOOL)],
    one_of: None,
};

static PHONE: Message = Message {
    name: "ImportHumanUserRequest_Phone",
    fields: &[
        field("phone", 1, ONE, PLAIN, Kind::Text { min: 1, max: 50, also: Also::Plus }),
        field("isPhoneVerified", 2, ONE, PLAIN, BOOL),
    ],
    one_of: None,
};

static HASHED: Message = Message {
    name: "ImportHumanUserRequest_HashedPassword",
    fields: &[field("value", 1, ONE, PLAIN, ANY_TEXT)],
    one_of: None,
};

static IDP: Message = Message {
    name: "ImportHumanUserRequest_IDP",
    fields: &[
        field("configId", 1, ONE, PLAIN, text(1, 200)),
        field("externalUserId", 2, ONE, PLAIN, text(1, 200)),
        field("displayName", 3, ONE, PLAIN, text(0, 200)),
    ],
    one_of: None,
};

static RECOVERY: Message = Message {
    name: "ImportHumanUserRequest_RecoveryCode",
    fields: &[field("raw", 1, ONE, OPTIONAL, text(1, 200)), field("hash", 2, ONE, OPTIONAL, text(1, 200))],
    one_of: None,
};

/// `POST /v2/users/new`.
pub(super) static CREATE_USER: Message = Message {
    name: "CreateUserRequest",
    fields: &[
        field("organizationId", 1, ONE, PLAIN, text(1, 200)),
        field("userId", 2, ONE, OPTIONAL, text(1, 200)),
        field("username", 3, ONE, OPTIONAL, text(1, 200)),
        field("human", 4, ONE, OPTIONAL, message(&CREATE_HUMAN)),
        field("machine", 5, ONE, OPTIONAL, message(&CREATE_MACHINE)),
        field("metadata", 6, MANY, PLAIN, message(&METADATA)),
    ],
    one_of: Some(("UserType", &["human", "machine"])),
};

static CREATE_HUMAN: Message = Message {
    name: "CreateUserRequest_Human",
    fields: &[
        field("profile", 1, ONE, PLAIN, required(&SET_PROFILE)),
        field("email", 2, ONE, PLAIN, required(&SET_EMAIL)),
        field("phone", 3, ONE, OPTIONAL, message(&SET_PHONE)),
        field("password", 4, ONE, OPTIONAL, message(&PASSWORD)),
        field("hashedPassword", 5, ONE, OPTIONAL, message(&HASHED_V2)),
        field("idpLinks", 7, MANY, PLAIN, message(&IDP_LINK)),
        field("totpSecret", 8, ONE, OPTIONAL, text(1, 200)),
        field("metadata", 9, MANY, PLAIN, message(&METADATA)),
    ],
    one_of: None,
};

static CREATE_MACHINE: Message = Message {
    name: "CreateUserRequest_Machine",
    fields: &[
        field("name", 1, ONE, PLAIN, text(1, 200)),
        field("description", 2, ONE, OPTIONAL, text(1, 500)),
        field("accessTokenType", 3, ONE, PLAIN, Kind::Choice(TOKEN_TYPES)),
    ],
    one_of: None,
};

static SET_PROFILE: Message = Message {
    name: "SetHumanProfile",
    fields: &[
        field("givenName", 1, ONE, PLAIN, text(1, 200)),
        field("familyName", 2, ONE, PLAIN, text(1, 200)),
        field("nickName", 3, ONE, OPTIONAL, text(0, 200)),
        field("displayName", 4, ONE, OPTIONAL, text(0, 200)),
        field("preferredLanguage", 5, ONE, OPTIONAL, text(0, 10)),
        field("gender", 6, ONE, OPTIONAL, Kind::Choice(GENDERS)),
    ],
    one_of: None,
};

static SET_EMAIL: Message = Message {
    name: "SetHumanEmail",
    fields: &[
        field("email", 1, ONE, PLAIN, Kind::Text { min: 1, max: 200, also: Also::Email }),
        field("sendCode", 2, ONE, OPTIONAL, message(&EMPTY)),
        field("returnCode", 3, ONE, OPTIONAL, message(&EMPTY)),
        field("isVerified", 4, ONE, OPTIONAL, BOOL),
    ],
    one_of: None,
};

static SET_PHONE: Message = Message {
    name: "SetHumanPhone",
    fields: &[
        field("phone", 1, ONE, PLAIN, text(0, 200)),
        field("sendCode", 2, ONE, OPTIONAL, message(&EMPTY)),
        field("returnCode", 3, ONE, OPTIONAL, message(&EMPTY)),
        field("isVerified", 4, ONE, OPTIONAL, Kind::Bool { only_true: true }),
    ],
    one_of: None,
};

static EMPTY: Message = Message { name: "Empty", fields: &[], one_of: None };

static PASSWORD: Message = Message {
    name: "Password",
    fields: &[field("password", 1, ONE, PLAIN, text(1, 200)), field("changeRequired", 2, ONE, PLAIN, BOOL)],
    one_of: None,
};

static HASHED_V2: Message = Message {
    name: "HashedPassword",
    fields: &[field("hash", 1, ONE, PLAIN, text(1, 200)), field("changeRequired", 2, ONE, PLAIN, BOOL)],
    one_of: None,
};

static SET_PASSWORD: Message = Message {
    name: "SetPassword",
    fields: &[
        field("password", 1, ONE, OPTIONAL, message(&PASSWORD)),
        field("hashedPassword", 2, ONE, OPTIONAL, message(&HASHED_V2)),
        field("currentPassword", 3, ONE, OPTIONAL, text(1, 200)),
        field("verificationCode", 4, ONE, OPTIONAL, text(1, 20)),
    ],
    one_of: None,
};

static IDP_LINK: Message = Message {
    name: "IDPLink",
    fields: &[
        field("idpId", 1, ONE, PLAIN, text(1, 200)),
        field("userId", 2, ONE, PLAIN, text(1, 200)),
        field("userName", 3, ONE, PLAIN, text(1, 200)),
    ],
    one_of: None,
};

static METADATA: Message = Message {
    name: "Metadata",
    fields: &[field("key", 1, ONE, PLAIN, text(1, 200)), field("value", 2, ONE, PLAIN, VALUE)],
    one_of: None,
};

/// `PATCH /v2/users/{id}`.
pub(super) static UPDATE_USER: Message = Message {
    name: "UpdateUserRequest",
    fields: &[
        field("userId", 1, ONE, PLAIN, text(1, 200)),
        field("username", 2, ONE, OPTIONAL, text(1, 200)),
        field("human", 3, ONE, OPTIONAL, message(&UPDATE_HUMAN)),
    ],
    one_of: None,
};

static UPDATE_HUMAN: Message = Message {
    name: "UpdateUserRequest_Human",
    fields: &[
        field("profile", 1, ONE, OPTIONAL, message(&UPDATE_PROFILE)),
        field("email", 2, ONE, OPTIONAL, message(&SET_EMAIL)),
        field("phone", 3, ONE, OPTIONAL, message(&SET_PHONE)),
        field("password", 4, ONE, OPTIONAL, message(&SET_PASSWORD)),
    ],
    one_of: None,
};

static UPDATE_PROFILE: Message = Message {
    name: "UpdateUserRequest_Human_Profile",
    fields: &[
        field("givenName", 1, ONE, OPTIONAL, text(1, 200)),
        field("familyName", 2, ONE, OPTIONAL, text(1, 200)),
        field("nickName", 3, ONE, OPTIONAL, text(1, 200)),
        field("displayName", 4, ONE, OPTIONAL, text(1, 200)),
        field("preferredLanguage", 5, ONE, OPTIONAL, text(1, 10)),
        field("gender", 6, ONE, OPTIONAL, Kind::Choice(GENDERS)),
    ],
    one_of: None,
};

/// `POST /v2/users/{id}/metadata`.
pub(super) static SET_METADATA: Message = Message {
    name: "SetUserMetadataRequest",
    fields: &[field("userId", 1, ONE, PLAIN, text(1, 200)), field("metadata", 2, MANY, PLAIN, message(&METADATA))],
    one_of: None,
};

/// `POST /v2/users/{id}/links`.
pub(super) static ADD_LINK: Message = Message {
    name: "AddIDPLinkRequest",
    fields: &[field("userId", 1, ONE, PLAIN, text(1, 200)), field("idpLink", 2, ONE, PLAIN, required(&IDP_LINK))],
    one_of: None,
};
