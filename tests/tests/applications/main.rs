//! Applications that stand on Redis, as their users run them: Celery, RQ, and locks over several servers. What they do to the server is theirs
//! (scripts, blocking pops, transactions, streams, PUBLISH, expiry, all of it in RESP3); whether it comes out right is said by the stories in `python/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rivulet_tests::family::Family;
use rivulet_tests::{Kind, Server, python, wait};

/// For a story: they take less than a minute on a machine that does something else, too.
const LIMIT: Duration = Duration::from_secs(240);

/// For a worker that is asked to end.
const END_LIMIT: Duration = Duration::from_secs(60);

fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

/// Python, to be given a module or a story, beside this server.
fn python_for(server: &Server, program: &Path) -> Command {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/applications/python");
    let mut command = Command::new(program);
    command.current_dir(folder).env("STORY_URL", url(server)).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("PYTHONUNBUFFERED", "1").env("LC_ALL", "C.UTF-8");
    command
}

/// A story says so in its last line. Behind it libraries may complain of the end of their interpreter.
#[track_caller]
fn must_be_well(said: &str) {
    assert!(said.lines().any(|line| line == "all is well"), "{said}");
}

#[track_caller]
fn must_be_alone(family: &Family) {
    wait::until("nothing is left of the workers", || family.running().is_empty());
}

const CELERY_WORKER: [&str; 9] =
    ["-m", "celery", "-A", "celery_app", "worker", "--concurrency", "2", "--loglevel", "INFO"];

#[test]
fn celery() {
    let Some(program) = python::program() else { return };
    let server = Server::start(Kind::Rivulet, &[]);
    let mut family = Family::new();
    family.spawn("worker", python_for(&server, &program).args(CELERY_WORKER));
    let said = family.run("story", python_for(&server, &program).args(["celery_story.py", "all"]), LIMIT);
    must_be_well(&said);
    family.terminate("worker", END_LIMIT);
    must_be_alone(&family);
}

#[test]
fn celery_gives_the_task_of_a_killed_worker_to_another() {
    let Some(program) = python::program() else { return };
    let server = Server::start(Kind::Rivulet, &[]);
    let python = |words: &[&str]| {
        let mut command = python_for(&server, &program);
        command.env("STORY_VISIBILITY_S", "2").args(words);
        command
    };
    let (mut first, mut second, mut story) = (Family::new(), Family::new(), Family::new());
    first.spawn("first worker", &mut python(&CELERY_WORKER));
    must_be_well(&story.run("hang", &mut python(&["celery_story.py", "hang"]), LIMIT));
    first.kill();
    must_be_alone(&first);
    wait::pause(Duration::from_secs(2));
    second.spawn("second worker", &mut python(&CELERY_WORKER));
    must_be_well(&story.run("hung", &mut python(&["celery_story.py", "hung"]), LIMIT));
    second.terminate("second worker", END_LIMIT);
    must_be_alone(&second);
}

#[test]
fn rq() {
    let Some(program) = python::program() else { return };
    let server = Server::start(Kind::Rivulet, &[]);
    let mut family = Family::new();
    let worker = ["-m", "rq.cli", "worker", "stories", "--with-scheduler", "--url", &url(&server)];
    family.spawn("worker", python_for(&server, &program).args(worker));
    let said = family.run("story", python_for(&server, &program).arg("rq_story.py"), LIMIT);
    must_be_well(&said);
    // The story has ended it by a command.
    let status = family.end_within("worker", END_LIMIT);
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{}", family.said());
    must_be_alone(&family);
}

/// How often each of two takes the lock.
const ROUNDS: u32 = 50;

#[test]
fn locks_over_three_servers() {
    let Some(program) = python::program() else { return };
    let mut servers = [(); 3].map(|()| Server::start(Kind::Rivulet, &[]));
    let urls: Vec<String> = servers.iter().map(url).collect();
    let story = |what: &str| {
        let mut command = python_for(&servers[0], &program);
        command.args(["redlock_story.py", what]).args(&urls).arg(ROUNDS.to_string());
        command
    };
    let mut family = Family::new();
    family.spawn("one", &mut story("compete"));
    must_be_well(&family.run("other", &mut story("compete"), LIMIT));
    let status = family.end_within("one", LIMIT);
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{}", family.said());
    let rules = family.run("rules", &mut story("all"), LIMIT);
    must_be_well(&rules);
    assert_eq!(servers[0].must("GET count").text(), (2 * ROUNDS).to_string());
    must_be_alone(&family);
}
