//! One run of the program.

use std::{
    ffi::OsString,
    io::{Read, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::canaries::{Canaries, assert_quiet};

/// Nothing here takes so long unless it hangs.
const LONGEST: Duration = Duration::from_mins(4);
/// But for the soak.
const SOAK: Duration = Duration::from_hours(3);

/// A run that has not begun.
#[must_use]
pub(crate) struct Run {
    folder: PathBuf,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    stdin: Vec<u8>,
    limits: Option<String>,
    stdout: Option<PathBuf>,
    canaries: Arc<Canaries>,
}

/// A run that has begun.
#[must_use]
pub(crate) struct Running {
    child: Child,
    out: JoinHandle<Vec<u8>>,
    err: JoinHandle<Vec<u8>>,
    canaries: Arc<Canaries>,
    state: PathBuf,
}

/// A run that has ended.
pub(crate) struct Ran {
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            stdin: Vec::new(),
            limits: None,
            stdout: None,
            canaries: Arc::default(),
        }
    }

    /// What must not be found after it.
    pub(crate) fn canaries(mut self, canaries: Arc<Canaries>) -> Self {
        self.canaries = canaries;
        self
    }

    fn state(&self) -> PathBuf {
        let at = self.args.iter().rposition(|arg| arg == "--state");
        self.folder.join(at.and_then(|at| self.args.get(at + 1)).map_or(Path::new(".a2z"), Path::new))
    }

    pub(crate) fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.args.extend(args.into_iter().map(OsString::from));
        self
    }

    /// Without an argument and the value after it.
    pub(crate) fn without_arg(mut self, name: &str) -> Self {
        if let Some(at) = self.args.iter().position(|arg| arg == name) {
            self.args.drain(at..(at + 2).min(self.args.len()));
        }
        self
    }

    /// Sets a variable, in place of an earlier one of this name.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self = self.without_env(name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.env.retain(|(other, _)| other != name);
        self
    }

    /// After these words of a shell: `ulimit -f 100`.
    pub(crate) fn after(mut self, words: &str) -> Self {
        self.limits = Some(words.to_owned());
        self
    }

    /// Standard output goes there.
    pub(crate) fn stdout_to(mut self, path: &str) -> Self {
        self.stdout = Some(PathBuf::from(path));
        self
    }

    pub(crate) fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = bytes;
        self
    }

    /// Runs to the end.
    #[track_caller]
    pub(crate) fn run(self) -> Ran {
        self.spawn().wait()
    }

    #[track_caller]
    pub(crate) fn spawn(self) -> Running {
        let state = self.state();
        // `exec` keeps the process id, so that signals reach the program itself.
        let mut command = match &self.limits {
            None => Command::new(env!("CARGO_BIN_EXE_a2z")),
            Some(limits) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("{limits}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_a2z")]);
                shell
            }
        };
        let mut child =
            command
                .args(self.args)
                .env_clear()
                .envs(self.env)
                .current_dir(self.folder)
                .stdin(Stdio::piped())
                .stdout(self.stdout.map_or_else(Stdio::piped, |path| {
                    std::fs::OpenOptions::new().write(true).open(path).unwrap().into()
                }))
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = self.stdin;
        // A program that does not read its input closes the pipe early.
        thread::spawn(move || drop(stdin.write_all(&input)));
        let out = child.stdout.take().map_or_else(|| thread::spawn(Vec::new), read);
        let err = read(child.stderr.take().unwrap());
        Running { child, out, err, canaries: self.canaries, state }
    }
}

fn read(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

impl Running {
    /// SIGINT, as Ctrl-C sends it.
    #[track_caller]
    pub(crate) fn interrupt(&self) {
        assert!(self.signal("INT"), "the program has ended");
    }

    /// Any signal; false where the program has ended.
    pub(crate) fn signal(&self, name: &str) -> bool {
        let kill = format!("kill -{name} {}", self.child.id());
        Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status().unwrap().success()
    }

    /// SIGKILL.
    #[track_caller]
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        drop(self.wait());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    #[track_caller]
    pub(crate) fn wait(mut self) -> Ran {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            let longest = if std::env::var_os("A2Z_SOAK").is_some() { SOAK } else { LONGEST };
            if began.elapsed() > longest {
                self.child.kill().unwrap();
                let stderr = String::from_utf8_lossy(&self.err.join().unwrap()).into_owned();
                panic!("a2z hangs; it said:\n{stderr}");
            }
            thread::sleep(Duration::from_millis(5));
        };
        let text = |handle: JoinHandle<Vec<u8>>| String::from_utf8(handle.join().unwrap()).unwrap();
        let (stdout, stderr) = (text(self.out), text(self.err));
        for (place, text) in [("standard output", &stdout), ("standard error", &stderr)] {
            self.canaries.assert_clean(place, text.as_bytes());
            assert_quiet(place, text);
            assert!(!text.contains("panicked at"), "{text}");
        }
        self.canaries.assert_clean_folder(&self.state);
        Ran { status, stdout, stderr }
    }
}

impl Ran {
    /// It ended with this exit code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// The exit code; none where a signal ended it.
    pub(crate) fn exit(&self) -> Option<i32> {
        self.status.code()
    }

    /// Standard error from the error on: what stands before it is progress.
    #[track_caller]
    pub(crate) fn error(&self) -> &str {
        let at = self.stderr.find("Error: ").unwrap_or_else(|| panic!("no error in:\n{}", self.stderr));
        self.stderr[at..].trim_end()
    }
}
