//! Who asks, and what each may take: no client takes the connections or the requests that the others
//! need, whatever it sends and however little of it.
//!
//! A client is an address, of IPv6 its first 64 bits, since whoever has one address there has them all.
//! Behind a proxy everybody is one client, and the limits are wide enough for a wall, its audience and
//! two Prometheus. Within a client the connections take turns: a loop that forgot to sleep waits for
//! itself, and a scrape from the same machine waits for one request of each connection at most. A
//! connection that only waits, for its first byte or the rest of a head, gives way to a new one when
//! its client, or all together, have no place left, and so does one that was answered and waits again.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::rate::{Bucket, Level, RateLimit};

/// Connections at a time.
const CONNECTIONS: usize = 256;
/// Connections of one client.
const OF_ONE: usize = CONNECTIONS / 4;
/// Clients that are told apart; those beyond are one.
const CLIENTS: usize = 4_096;
/// Time between two searches for clients that may be forgotten, each of which takes a while.
const SWEEP: Duration = Duration::from_millis(100);
/// How long an answer may take to be read before its connection gives way as well.
const SLOW: Duration = Duration::from_secs(15);
/// Requests that a client may have made of late while it still comes before everybody's limit.
const FEW: u32 = 20;
/// How long a request waits for its turn among those of its client.
const TURN: Duration = Duration::from_secs(2);

/// Everybody who is connected, or was a moment ago.
#[derive(Debug, Default)]
pub(super) struct Clients {
    table: Mutex<Table>,
    everybody: Bucket,
}

#[derive(Debug, Default)]
struct Table {
    clients: BTreeMap<IpAddr, Client>,
    connections: BTreeMap<u64, Connection>,
    /// The name of the last connection.
    last: u64,
    /// When those who are gone were last forgotten.
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Client {
    connections: usize,
    levels: [Level; 3],
    /// Its passwords are weighed one after the other.
    weighing: Arc<Semaphore>,
    /// Its requests wait here, in the order in which they came.
    turns: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Connection {
    client: IpAddr,
    /// When it began to do what it does.
    since: Instant,
    does: Does,
    /// How often it has asked.
    asked: u32,
    close: Arc<Notify>,
}

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// It waits for a head.
    Wait,
    /// It has asked, and waits for its turn.
    Queue,
    /// It is answered.
    Answer,
}

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A request that may come in.
    Request,
    /// One without a password that needs one.
    Stranger,
    /// One with a password that must be weighed.
    Guess,
}

impl Client {
    fn new() -> Self {
        Self { connections: 0, levels: [Level::default(); 3], weighing: Arc::new(Semaphore::new(1)), turns: Arc::default() }
    }

    /// Whether it may be forgotten: a new one would have the same.
    fn is_idle(&self) -> bool {
        let limits = [RateLimit::CLIENT, RateLimit::STRANGER, RateLimit::GUESS];
        self.connections == 0 && self.levels.iter().zip(limits).all(|(level, limit)| level.left(limit) >= f64::from(limit.burst))
    }
}

impl Connection {
    fn gives_way(&self) -> bool {
        match self.does {
            Does::Wait => true,
            // One that was answered before leaves its place to one that was not.
            Does::Queue => self.asked > 1,
            Does::Answer => self.since.elapsed() > SLOW,
        }
    }
}

/// The address by which a client is known.
fn known_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address @ IpAddr::V4(_) => address,
    }
}

impl Table {
    /// The client of an address; where there are too many, one that stands for all others.
    fn client(&mut self, address: IpAddr) -> IpAddr {
        let mut address = known_as(address);
        if !self.clients.contains_key(&address) {
            if self.clients.len() >= CLIENTS && self.swept.is_none_or(|at| at.elapsed() > SWEEP) {
                self.clients.retain(|_, client| !client.is_idle());
                self.swept = Some(Instant::now());
            }
            if self.clients.len() >= CLIENTS {
                address = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            }
        }
        self.clients.entry(address).or_insert_with(Client::new);
        address
    }

    /// Takes one place from whoever has most of them, or from one client; whether one could be taken.
    fn make_room(&mut self, of: Option<IpAddr>) -> bool {
        let has = |client: &IpAddr| self.clients.get(client).map_or(0, |client| client.connections);
        let all = self.connections.iter().filter(|(_, own)| own.gives_way() && of.is_none_or(|client| own.client == client));
        let Some(id) = all.max_by_key(|(_, own)| (has(&own.client), own.does == Does::Wait, Reverse(own.since))).map(|(id, _)| *id) else { return false };
        self.leave(id);
        true
    }

    fn leave(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else { return };
        connection.close.notify_one();
        if let Some(client) = self.clients.get_mut(&connection.client) {
            client.connections -= 1;
        }
    }
}

impl Clients {
    fn with<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        change(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A place for a connection, unless its client, or everybody, has all of them in use.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Arc<Visitor>> {
        let close = Arc::new(Notify::new());
        let (id, client) = self.with(|table| {
            let client = table.client(address);
            let own = table.clients.get(&client).map_or(0, |client| client.connections);
            if (own >= OF_ONE && !table.make_room(Some(client))) || (table.connections.len() >= CONNECTIONS && !table.make_room(None)) {
                return None;
            }
            table.last += 1;
            table.connections.insert(table.last, Connection { client, since: Instant::now(), does: Does::Wait, asked: 0, close: Arc::clone(&close) });
            table.clients.entry(client).or_insert_with(Client::new).connections += 1;
            Some((table.last, client))
        })?;
        Some(Arc::new(Visitor { clients: Arc::clone(self), id, client, close }))
    }
}

/// One connection of a client.
#[derive(Debug)]
pub(super) struct Visitor {
    clients: Arc<Clients>,
    id: u64,
    client: IpAddr,
    close: Arc<Notify>,
}

impl Visitor {
    /// Whether its client may make one more of a kind.
    pub(super) fn may(&self, kind: Kind, limit: RateLimit) -> bool {
        self.clients.with(|table| table.clients.entry(self.client).or_insert_with(Client::new).levels[kind as usize].take(limit))
    }

    /// Waits until its client may make one more request; whether its turn came. Each connection asks for
    /// one thing at a time, so whoever floods some connections makes the others wait for these alone.
    pub(super) async fn turn(&self, limit: RateLimit) -> bool {
        let turns = self.clients.with(|table| Arc::clone(&table.clients.entry(self.client).or_insert_with(Client::new).turns));
        if turns.try_lock().is_ok_and(|_first| self.may(Kind::Request, limit)) {
            return true;
        }
        self.set(Does::Queue);
        let wait = async {
            let _first = turns.lock().await;
            while !self.may(Kind::Request, limit) {
                tokio::time::sleep(limit.interval.0).await;
            }
        };
        let came = tokio::time::timeout(TURN, wait).await.is_ok();
        self.set(Does::Answer);
        came
    }

    /// Whether one more request of its client is within everybody's limit. Who asks seldom always is:
    /// a flood from many addresses must not keep out a scrape.
    pub(super) fn may_among_all(&self, limit: RateLimit) -> bool {
        let left = self.clients.with(|table| table.clients.get(&self.client).map_or(0.0, |client| client.levels[Kind::Request as usize].left(limit)));
        self.clients.everybody.take(RateLimit::EVERYBODY) || left + f64::from(FEW) >= f64::from(limit.burst)
    }

    /// Where passwords of its client are weighed, one after the other.
    pub(super) fn weighing(&self) -> Arc<Semaphore> {
        self.clients.with(|table| Arc::clone(&table.clients.entry(self.client).or_insert_with(Client::new).weighing))
    }

    /// Ends when its place was given to another one.
    pub(super) async fn gave_way(&self) {
        self.close.notified().await;
    }

    /// From now on it answers, until what is returned is dropped.
    pub(super) fn answers(self: &Arc<Self>) -> Answering {
        self.change(|own| (own.does, own.since, own.asked) = (Does::Answer, Instant::now(), own.asked.saturating_add(1)));
        Answering(Arc::clone(self))
    }

    fn set(&self, does: Does) {
        self.change(|own| (own.does, own.since) = (does, Instant::now()));
    }

    fn change(&self, change: impl FnOnce(&mut Connection)) {
        self.clients.with(|table| table.connections.get_mut(&self.id).map(change));
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.clients.with(|table| table.leave(self.id));
    }
}

/// An answer under way.
#[derive(Debug)]
pub(crate) struct Answering(Arc<Visitor>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.set(Does::Wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    async fn is_closed(visitor: &Visitor) -> bool {
        tokio::time::timeout(Duration::ZERO, visitor.gave_way()).await.is_ok()
    }

    #[test]
    fn an_address_of_ipv6_is_its_network() {
        let of = |text: &str| known_as(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::"));
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
        assert_eq!(of("::ffff:192.0.2.7"), v4(7));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_takes_is_not_missing_to_another() {
        let clients = Arc::new(Clients::default());
        let (one, other) = (clients.enter(v4(1)).unwrap(), clients.enter(v4(2)).unwrap());
        let taken = (0..5_000).filter(|_| one.may(Kind::Request, RateLimit::CLIENT)).count();
        assert_eq!(taken, 1_000);
        assert!(other.may(Kind::Request, RateLimit::CLIENT));
        assert!(one.may(Kind::Guess, RateLimit::GUESS) && one.may(Kind::Stranger, RateLimit::STRANGER), "each kind by itself");
        drop(one);
        let again = clients.enter(v4(1)).unwrap();
        assert!(!again.may(Kind::Request, RateLimit::CLIENT), "another connection is the same client");
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!((0..100).filter(|_| again.may(Kind::Request, RateLimit::CLIENT)).count(), 10);
        assert_eq!((0..100).filter(|_| other.may(Kind::Guess, RateLimit::GUESS)).count(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_from_the_same_address_is_paced_and_keeps_nobody_out() {
        let clients = Arc::new(Clients::default());
        let flood: Vec<_> = (0..4).map(|_| clients.enter(v4(1)).unwrap()).collect();
        assert!((0..1_000).all(|_| flood[0].may(Kind::Request, RateLimit::CLIENT)));
        let answered = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let floods: Vec<_> = flood
            .into_iter()
            .map(|visitor| {
                let answered = Arc::clone(&answered);
                tokio::spawn(async move {
                    while visitor.turn(RateLimit::CLIENT).await {
                        answered.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(10)).await;
        let before = answered.load(std::sync::atomic::Ordering::Relaxed);
        assert!((900..=1_010).contains(&before), "a hundred a second: {before}");
        let (scraper, started) = (clients.enter(v4(1)).unwrap(), Instant::now());
        assert!(scraper.turn(RateLimit::CLIENT).await && started.elapsed() < Duration::from_millis(100), "{:?}", started.elapsed());
        floods.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_answered_gives_way_to_who_was_not() {
        let clients = Arc::new(Clients::default());
        let flood: Vec<_> = (0..OF_ONE).map(|_| clients.enter(v4(1)).unwrap()).collect();
        for visitor in &flood {
            (0..2).for_each(|_| drop(visitor.answers()));
            visitor.set(Does::Queue);
        }
        let scraper = clients.enter(v4(1)).unwrap();
        scraper.set(Does::Queue);
        assert!(clients.enter(v4(1)).is_some() && !is_closed(&scraper).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_seldom_comes_before_everybodys_limit() {
        let clients = Arc::new(Clients::default());
        let many: Vec<_> = (0..100).map(|last| clients.enter(v4(last)).unwrap()).collect();
        for visitor in many.iter().cycle().take(5_000) {
            assert!(visitor.may(Kind::Request, RateLimit::CLIENT));
            visitor.may_among_all(RateLimit::CLIENT);
        }
        assert!(!many[0].may_among_all(RateLimit::CLIENT));
        let scraper = clients.enter(v4(200)).unwrap();
        for _ in 0..10 {
            assert!(scraper.may(Kind::Request, RateLimit::CLIENT) && scraper.may_among_all(RateLimit::CLIENT));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_waits_gives_way_and_one_that_answers_does_not() {
        let clients = Arc::new(Clients::default());
        let mut own = Vec::new();
        for _ in 0..OF_ONE {
            own.push(clients.enter(v4(1)).unwrap());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let answer = own[0].answers();
        let next = clients.enter(v4(1)).unwrap();
        assert!(!is_closed(&own[0]).await && is_closed(&own[1]).await && !is_closed(&own[2]).await, "the one that waits longest");
        let mut answers: Vec<_> = own.iter().chain([&next]).map(Visitor::answers).collect();
        assert!(clients.enter(v4(1)).is_none(), "all of them are at work");
        assert!(clients.enter(v4(2)).is_some(), "others are not concerned");
        answers.truncate(OF_ONE / 2);
        drop(answer);
        assert!(clients.enter(v4(1)).is_some(), "one of them is done");
        drop((own, next, answers));
        assert!(clients.table.lock().unwrap().connections.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn places_go_from_whoever_has_most_to_whoever_comes() {
        let clients = Arc::new(Clients::default());
        let greedy: Vec<_> = (0..OF_ONE).map(|_| clients.enter(v4(1)).unwrap()).collect();
        let others: Vec<_> = (0..CONNECTIONS - OF_ONE).map(|index| clients.enter(v4(u8::try_from(2 + index % 10).unwrap())).unwrap()).collect();
        let scraper = clients.enter(v4(99)).unwrap();
        assert_eq!(clients.table.lock().unwrap().connections.len(), CONNECTIONS);
        let mut closed = 0;
        for visitor in &greedy {
            closed += usize::from(is_closed(visitor).await);
        }
        assert_eq!(closed, 1);
        let answers: Vec<_> = greedy.iter().chain(&others).chain([&scraper]).map(Visitor::answers).collect();
        assert!(clients.enter(v4(100)).is_none(), "everybody is at work");
        tokio::time::advance(SLOW + Duration::from_secs(1)).await;
        assert!(clients.enter(v4(100)).is_some(), "an answer that nobody reads gives way at last");
        drop(answers);
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded_and_forgets_who_is_gone() {
        let clients = Arc::new(Clients::default());
        let address = |index: u32| IpAddr::from(index.to_be_bytes());
        for index in 0..3 * u32::try_from(CLIENTS).unwrap() {
            let visitor = clients.enter(address(1 + index)).unwrap();
            assert!(visitor.may(Kind::Request, RateLimit::CLIENT) || index as usize >= CLIENTS, "those beyond share one limit");
        }
        assert!(clients.table.lock().unwrap().clients.len() <= CLIENTS + 1);
        tokio::time::advance(Duration::from_mins(1)).await;
        clients.enter(address(1 << 24)).unwrap();
        assert!(clients.table.lock().unwrap().clients.len() <= 2);
    }
}
