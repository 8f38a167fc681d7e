//! One pass: from what is new between two views to what everybody is told.
//!
//! Reads each touched row under both views once, as those see it who see all of an organization, and
//! again as each role reads it; what is behind row-level security goes into the lanes of the
//! identities that are online. Knows neither when a pass is due nor how views come to be.

use super::{
    decide::{Row, belongs},
    lanes::{Job, Lanes, Question, Work},
    rights::{allowed, columns},
    told::Told,
    touched::{Touch, Touched, Whose, reason},
};
use crate::{
    broker::{Address, Broker},
    catalog::{Access, Announce, Oid},
    channel::{Audience, BatchBuilder, Group},
    error::Result,
    identity::{OrganizationId, Role},
    postgres::{
        Database,
        changelog::{Asked, Plan, State, View},
    },
    snapshot::{Position, Snapshot},
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// What a pass works with.
pub(super) struct Pass<'a> {
    pub(super) database: &'a Database,
    pub(super) broker: &'a dyn Broker,
    pub(super) lanes: &'a Arc<Lanes>,
    pub(super) plan: &'a Arc<Plan>,
    /// The state at the start; lost with its connection, if `None`.
    pub(super) before: Option<&'a Arc<View>>,
    pub(super) since: &'a Snapshot,
    pub(super) after: &'a Arc<View>,
    pub(super) position: Position,
    pub(super) audience: Audience,
}

/// The touched rows of one resource, in both states.
pub(super) struct Reading {
    pub(super) before: Option<Vec<State>>,
    pub(super) after: Vec<State>,
}

/// Those who are online in one organization, by role.
type Online = BTreeMap<OrganizationId, BTreeMap<Role, Vec<Arc<Group>>>>;

/// The rows of each resource as one role reads them, by the key's number; `None`: they could not be
/// read.
pub(super) type RoleRows = HashMap<Oid, Option<HashMap<usize, Bytes>>>;

impl Pass<'_> {
    /// Tells everybody. Afterwards everything up to the position is queued, or held for those for
    /// whom it is still being read.
    ///
    /// # Errors
    /// `DatabaseUnavailable`: then nobody was told anything, and the pass can be repeated.
    pub(super) async fn tell(&self, mut touched: Touched) -> Result<()> {
        let online = self.online();
        if online.is_empty() {
            return Ok(());
        }
        for touch in touched.resources.values_mut() {
            touch.keep(|whose| {
                whose.everybody
                    || !whose.references.is_empty()
                    || whose
                        .organizations
                        .iter()
                        .any(|it| online.contains_key(&OrganizationId(it.clone())))
            });
        }
        let readings = self.read(&mut touched).await?;
        self.follow_references(&mut touched, &readings).await?;
        self.follow_moves(&mut touched, &readings);

        let mut roles: HashMap<Role, (Arc<Access>, RoleRows)> = HashMap::new();
        for role in online.values().flat_map(BTreeMap::keys) {
            if !roles.contains_key(role)
                && let Some(access) = self.access(role).await?
            {
                let rows = self
                    .rows(role, &access, &touched, &readings, &online)
                    .await?;
                roles.insert(role.clone(), (access, rows));
            }
        }
        // Nothing below waits or fails: a batch is told whole or not at all.
        for (organization, by_role) in &online {
            self.shake(organization, &touched, &readings);
            let mut known = HashMap::new();
            for (role, groups) in by_role {
                let Some((access, rows)) = roles.get(role) else {
                    continue;
                };
                let mut batch = BatchBuilder::new(self.since.version(), self.position.clone());
                let mut questions = Vec::new();
                for touch in touched.resources.values() {
                    let Some(allowed) = allowed(access, &touch.resource) else {
                        continue;
                    };
                    let told = Told {
                        pass: self,
                        touch,
                        organization,
                        privileges: allowed,
                        reading: readings.get(&touch.resource.relation),
                    };
                    if told.reset(&mut batch) {
                        continue;
                    }
                    if touch.resource.restricted {
                        questions.extend(told.question(&mut known, &mut batch));
                    } else {
                        told.changes(rows, &mut batch);
                    }
                }
                // Held first, told second, read apart third: the batch carries no cursor while something
                // is to be read apart, and what is read apart carries it after the batch.
                let jobs = self.jobs(groups, &questions);
                if !batch.is_empty() {
                    let to = Address::Role(organization.clone(), role.clone());
                    self.broker.publish(&to, &batch.build());
                }
                jobs.into_iter().for_each(|it| self.lanes.push(it));
            }
        }
        Ok(())
    }

    /// Says of which rows that have keys somebody may have lost the right. Who is not online cannot be
    /// compared, so that any change counts of what decides who sees them.
    fn shake(
        &self,
        organization: &OrganizationId,
        touched: &Touched,
        readings: &HashMap<Oid, Reading>,
    ) {
        let keyed = |it: &&Touch| it.resource.keyed && it.resource.restricted;
        for touch in touched.resources.values().filter(keyed) {
            let resource = &touch.resource;
            let whole = touch.visibility.iter().map(|it| &it.0);
            let mut whole = whole.chain(touch.reset.iter().map(|it| &it.0));
            if whole.any(|it| it.contains(&organization.0)) {
                self.audience.shake(organization, &resource.name, None);
                continue;
            }
            let Some(reading) = readings.get(&resource.relation) else {
                continue;
            };
            let own = |row: &Row<'_>| row.happened(resource, &organization.0).is_some();
            let rows = reading.rows(touch).filter(own);
            let rows: Vec<Arc<str>> = rows.map(|it| it.after.id.clone()).collect();
            if !rows.is_empty() {
                self.audience
                    .shake(organization, &resource.name, Some(&rows));
            }
        }
    }

    fn online(&self) -> Online {
        let mut online = Online::new();
        for group in self.audience.all() {
            let identity = group.identity().clone();
            let roles = online.entry(identity.organization.clone()).or_default();
            roles.entry(identity.role.clone()).or_default().push(group);
        }
        online
    }

    /// The states of all touched keys. A resource that cannot be read is reset.
    async fn read(&self, touched: &mut Touched) -> Result<HashMap<Oid, Reading>> {
        let asked: Vec<Asked> = touched
            .resources
            .values()
            .filter(|it| !it.keys.is_empty())
            .map(|it| Asked::new(&it.resource, it.keys.iter().map(|it| it.key.as_slice())))
            .collect();
        let before = async {
            match self.before {
                Some(view) => view.states(self.plan, &asked).await.map(Some),
                None => Ok(None),
            }
        };
        let after = self.after.states(self.plan, &asked);
        let (before, after) = tokio::try_join!(before, after)?;
        let mut before = before.map(Vec::into_iter);
        let mut readings = HashMap::new();
        for (asked, after) in asked.iter().zip(after) {
            let before = before.as_mut().map(|it| it.next().flatten());
            let reading = match (before, after) {
                (Some(None), _) | (_, None) => {
                    touched.reset(&asked.resource, Whose::everybody(), reason::SCHEMA);
                    continue;
                }
                (before, Some(after)) => Reading {
                    before: before.flatten(),
                    after,
                },
            };
            readings.insert(asked.resource.relation, reading);
        }
        Ok(readings)
    }

    /// What the role may do, by the plan's catalog; `None`: the role is no more.
    async fn access(&self, role: &Role) -> Result<Option<Arc<Access>>> {
        use crate::error::Kind;
        match self.database.access_to(self.plan.catalog(), role).await {
            Ok(access) => Ok(Some(access)),
            Err(error) if error.kind() == Kind::RoleNotAllowed => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The rows that are there now and whose whole is announced, as the role reads them.
    async fn rows(
        &self,
        role: &Role,
        access: &Access,
        touched: &Touched,
        readings: &HashMap<Oid, Reading>,
        online: &Online,
    ) -> Result<RoleRows> {
        let organizations: Vec<&OrganizationId> = online
            .iter()
            .filter(|(_, roles)| roles.contains_key(role))
            .map(|(organization, _)| organization)
            .collect();
        let mut asked = Vec::new();
        let mut numbers = Vec::new();
        for touch in touched.resources.values() {
            let resource = &touch.resource;
            let privileges = allowed(access, resource);
            let columns = privileges.map_or(Vec::new(), |it| columns(resource, it));
            let told = resource.announce == Announce::Rows && !resource.restricted;
            let (Some(reading), true) = (readings.get(&resource.relation), told) else {
                continue;
            };
            if columns.is_empty() {
                continue;
            }
            let wanted: Vec<usize> = (0..touch.keys.len())
                .filter(|it| {
                    let state = &reading.after[*it];
                    let mut organizations = organizations.iter();
                    organizations.any(|it| belongs(resource, state, &it.0))
                })
                .collect();
            if !wanted.is_empty() {
                let keys = wanted.iter().map(|it| touch.keys[*it].key.as_slice());
                asked.push((Asked::new(resource, keys), columns));
                numbers.push(wanted);
            }
        }
        if asked.is_empty() {
            return Ok(RoleRows::new());
        }
        let answers = self.after.rows(self.plan, role, &asked).await?;
        let mut rows = RoleRows::new();
        for (((asked, _), numbers), answer) in asked.iter().zip(numbers).zip(answers) {
            let numbered = |rows: Vec<(usize, Bytes)>| {
                let rows = rows.into_iter();
                rows.filter_map(|(number, row)| Some((*numbers.get(number)?, row)))
                    .collect()
            };
            rows.insert(asked.resource.relation, answer.map(numbered));
        }
        Ok(rows)
    }

    /// The questions for the lanes of these identities, whose cursors are held from now on.
    fn jobs(&self, groups: &[Arc<Group>], questions: &[Question]) -> Vec<Job> {
        if questions.is_empty() {
            return Vec::new();
        }
        let work = || match self.before {
            Some(before) => Work::Read {
                plan: self.plan.clone(),
                before: before.clone(),
                after: self.after.clone(),
                questions: questions.to_vec(),
            },
            _ => Work::Reset(
                questions
                    .iter()
                    .map(|it| it.resource.name.clone())
                    .collect(),
            ),
        };
        let job = |group: &Arc<Group>| Job {
            hold: group.hold(),
            start: self.since.version(),
            position: self.position.clone(),
            work: work(),
        };
        groups.iter().map(job).collect()
    }
}

impl Reading {
    pub(super) fn rows<'a>(&'a self, touch: &'a Touch) -> impl Iterator<Item = Row<'a>> {
        let states = touch.keys.iter().zip(&self.after).enumerate();
        states.map(|(number, (touched, after))| Row {
            touched,
            before: self.before.as_ref().map(|it| &it[number]),
            after,
        })
    }
}
