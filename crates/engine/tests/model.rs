//! The engine against a naive model: random commands, one result.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::{ListCommand, ProfileCommand};
use engine::{
    Command, Engine, EngineOptions, EventStore, Origin, SubscribeMode, Subscriber, Until, replay,
    start,
};
use projections::ReadModels;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use types::{ListId, PageLimit, SystemClock, UserId};

const PEOPLE: [&str; 4] = ["ada", "bob", "cy", "dee"];
const LISTS: [&str; 3] = ["a", "b.c", "d"];

#[derive(Clone, Debug)]
enum Step {
    Merge(usize, u8, Option<u8>),
    Replace(usize, u8),
    DeleteProfile(usize),
    PutList(usize, u8),
    DeleteList(usize),
    Restore(usize),
    Subscribe(usize, Vec<usize>, u8),
    Unsubscribe(usize, usize),
    SubscribeToLists(usize, Vec<usize>),
    LeaveEveryList(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (who, list) = (0..PEOPLE.len(), 0..LISTS.len());
    prop_oneof![
        (who.clone(), 0..3_u8, proptest::option::of(0..3_u8))
            .prop_map(|(w, k, v)| Step::Merge(w, k, v)),
        (who.clone(), 0..3_u8).prop_map(|(w, v)| Step::Replace(w, v)),
        who.clone().prop_map(Step::DeleteProfile),
        (list.clone(), 0..2_u8).prop_map(|(l, n)| Step::PutList(l, n)),
        list.clone().prop_map(Step::DeleteList),
        list.clone().prop_map(Step::Restore),
        (
            list.clone(),
            proptest::collection::vec(who.clone(), 0..5),
            0..3_u8
        )
            .prop_map(|(l, w, m)| Step::Subscribe(l, w, m)),
        (list.clone(), who.clone()).prop_map(|(l, w)| Step::Unsubscribe(l, w)),
        (who.clone(), proptest::collection::vec(list, 0..3))
            .prop_map(|(w, l)| Step::SubscribeToLists(w, l)),
        who.prop_map(Step::LeaveEveryList),
    ]
}

/// What must hold, in the plainest form.
#[derive(Default)]
struct Model {
    profiles: BTreeMap<usize, Map<String, Value>>,
    lists: BTreeMap<usize, (bool, BTreeSet<usize>)>,
}

impl Model {
    fn live(&mut self, list: usize) -> &mut BTreeSet<usize> {
        let entry = self.lists.entry(list).or_default();
        if !entry.0 {
            *entry = (true, BTreeSet::new());
        }
        &mut entry.1
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Merge(who, key, Some(value)) => {
                self.profiles
                    .entry(*who)
                    .or_default()
                    .insert(key.to_string(), json!(value));
            }
            Step::Merge(who, key, None) => {
                if let Some(profile) = self.profiles.get_mut(who) {
                    profile.remove(&key.to_string());
                }
            }
            Step::Replace(who, value) => {
                self.profiles
                    .insert(*who, Map::from_iter([("r".to_owned(), json!(value))]));
            }
            Step::DeleteProfile(who) => drop(self.profiles.remove(who)),
            Step::PutList(list, _) => drop(self.live(*list).len()),
            Step::DeleteList(list) => {
                if let Some(list) = self.lists.get_mut(list) {
                    list.0 = false;
                }
            }
            Step::Restore(list) => {
                if let Some(list) = self.lists.get_mut(list) {
                    list.0 = true;
                }
            }
            Step::Subscribe(list, who, mode) => {
                let members = self.live(*list);
                if *mode == 2 {
                    members.clear();
                }
                members.extend(who);
            }
            Step::Unsubscribe(list, who) => {
                if let Some((true, members)) = self.lists.get_mut(list) {
                    members.remove(who);
                }
            }
            Step::SubscribeToLists(who, lists) => {
                for list in lists {
                    self.live(*list).insert(*who);
                }
            }
            Step::LeaveEveryList(who) => {
                for (_, members) in self.lists.values_mut() {
                    members.remove(who);
                }
            }
        }
    }
}

fn user(who: usize) -> UserId {
    UserId::parse(PEOPLE[who]).unwrap()
}

fn list(list: usize) -> ListId {
    ListId::parse(LISTS[list]).unwrap()
}

fn command(step: &Step) -> Command {
    let profile = |who: usize, command| Command::Profile {
        user_id: user(who),
        command,
    };
    match step {
        Step::Merge(who, key, value) => {
            let changes = Map::from_iter([(key.to_string(), json!(value))]);
            profile(*who, ProfileCommand::Merge(changes))
        }
        Step::Replace(who, value) => {
            let document = Map::from_iter([("r".to_owned(), json!(value))]);
            profile(*who, ProfileCommand::Replace(document))
        }
        Step::DeleteProfile(who) => profile(*who, ProfileCommand::Delete),
        Step::PutList(id, name) => {
            let command = ListCommand::Put {
                name: name.to_string(),
                preferences: None,
            };
            Command::List {
                list: list(*id),
                command,
            }
        }
        Step::DeleteList(id) => Command::List {
            list: list(*id),
            command: ListCommand::Delete,
        },
        Step::Restore(id) => Command::List {
            list: list(*id),
            command: ListCommand::Restore,
        },
        Step::Subscribe(id, who, mode) => {
            let subscriber = |who: &usize| Subscriber {
                user_id: user(*who),
                preferences: None,
            };
            let mode = [
                SubscribeMode::Add,
                SubscribeMode::Put,
                SubscribeMode::Overwrite,
            ][*mode as usize];
            let subscribers = who.iter().map(subscriber).collect();
            Command::Subscribe {
                list: list(*id),
                subscribers,
                mode,
            }
        }
        Step::Unsubscribe(id, who) => Command::Unsubscribe {
            list: list(*id),
            user_id: user(*who),
        },
        Step::SubscribeToLists(who, lists) => Command::SubscribeToLists {
            user_id: user(*who),
            lists: lists.iter().map(|id| (list(*id), None)).collect(),
        },
        Step::LeaveEveryList(who) => Command::LeaveEveryList {
            user_id: user(*who),
        },
    }
}

fn check(models: &ReadModels, model: &Model) {
    for (who, name) in PEOPLE.iter().enumerate() {
        let subject = models.subjects.number(name);
        let stored = subject.and_then(|subject| models.profiles.document(subject));
        assert_eq!(
            stored.map(|document| document.to_object()),
            model.profiles.get(&who).cloned(),
            "{name}"
        );
        let lists: Vec<String> = subject.map_or_else(Vec::new, |subject| {
            let (lists, _) =
                models
                    .lists
                    .subscriptions(subject, &|_| true, None, PageLimit::default());
            lists.into_iter().map(|it| it.list.id.into()).collect()
        });
        let expected: Vec<&str> = model
            .lists
            .iter()
            .filter(|(_, (live, members))| *live && members.contains(&who))
            .map(|(id, _)| LISTS[*id])
            .collect();
        assert_eq!(lists, expected, "lists of {name}");
    }
    for (id, name) in LISTS.iter().enumerate() {
        let stored = models
            .lists
            .live(&list(id))
            .map(|view| view.subscriber_count);
        let expected = model
            .lists
            .get(&id)
            .filter(|list| list.0)
            .map(|list| list.1.len());
        assert_eq!(stored, expected, "{name}");
    }
}

/// Sends everything before the first answer is awaited, so that commands share groups.
fn send_all(engine: &Engine, steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = steps
            .iter()
            .map(|step| {
                let (engine, command) = (engine.clone(), command(step));
                tokio::spawn(async move { engine.execute(command, Origin::default()).await })
            })
            .collect();
        for task in tasks {
            // A refusal is an outcome like any other; the model refuses nothing.
            let _ = task.await.unwrap();
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn the_read_models_show_what_a_naive_model_shows_and_replay_gives_them_again(
        batches in proptest::collection::vec(proptest::collection::vec(step(), 1..8), 1..8),
    ) {
        let store = EventStore::in_memory();
        let rebuilt = replay(&store, Until::Head, &mut |_| ()).unwrap();
        let models = Arc::clone(&rebuilt.read_models);
        let options = EngineOptions::default();
        let (engine, _writer) = start(store.clone(), rebuilt, Arc::new(SystemClock), options);
        let mut model = Model::default();
        for batch in &batches {
            send_all(&engine, batch);
            for step in batch {
                model.run(step);
            }
            check(&models, &model);
        }
        let again = replay(&store, Until::Head, &mut |_| ()).unwrap();
        prop_assert_eq!(again.read_models.digests(), models.digests());
        prop_assert_eq!(store.log.head().position, models.checkpoint());
    }
}
