//! The whole job, from a tenant to the sandbox's store: what arrived is held against the mapping table.

use a2z::sandbox::tenant::{Tenant, TenantOptions};

use crate::harness::{Expected, World};

#[test]
fn a_user_of_every_kind() {
    let world = World::of(Tenant::one_of_each()).start();
    let ran = world.cutover().run().code(3);
    world.assert_balanced();
    world.assert_moved("created");
    assert!(ran.stdout.contains("exported"), "{}", ran.stdout);
    assert_eq!(world.balance("created"), Expected::of(world.tenant()).moved());
}

#[test]
fn two_thousand_users_and_again() {
    let world = World::of(Tenant::made_up(TenantOptions { users: 2_000, seed: 3, oddity_rate: 0.05 })).start();
    world.cutover().run().code(3);
    world.assert_balanced();
    world.assert_moved("created");

    // Again: nothing to do, and nothing is written.
    let writes = world.writes().len();
    world.cutover().run().code(3);
    world.assert_balanced();
    world.assert_moved("unchanged");
    assert_eq!((world.balance("created"), world.balance("updated")), (0, 0));
    assert_eq!(world.writes()[writes..], [] as [String; 0]);

    // The passwords that Auth0 knew sign in; those who were blocked do not.
    let expected = Expected::of(world.tenant());
    let known = expected.people().filter(|person| person.password.is_some());
    let (blocked, active): (Vec<_>, Vec<_>) = known.partition(|person| person.inactive);
    for person in active.iter().filter(|person| person.password.is_some_and(|p| p.len() < 72)).take(8) {
        world.sign_in(&person.user_name, person.password.unwrap()).unwrap();
        assert_eq!(world.sign_in(&person.user_name, "wrong").unwrap_err(), "COMMAND-3M0fs", "{}", person.id);
    }
    assert!(active.len() > 8 && !blocked.is_empty());
    for person in blocked.iter().take(2) {
        assert_eq!(world.sign_in(&person.user_name, person.password.unwrap()).unwrap_err(), "SESSION-Gj4ko");
    }
}
