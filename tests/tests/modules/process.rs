//! Programs of a module, run as the user that the module runs them as.

use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::rendered::Program;

/// A port of the loopback that was free just now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Program {
    /// With other values of variables.
    pub(crate) fn with<T: AsRef<str>>(mut self, variables: &[(&str, T)]) -> Self {
        for (name, value) in variables {
            let value = value.as_ref().to_owned();
            self.env.insert((*name).to_owned(), value);
        }
        self
    }

    /// With more arguments.
    pub(crate) fn and(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// The command, as a user who has nothing of this process' environment.
    fn command(&self, user: u32) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args([
                format!("--reuid={user}"),
                format!("--regid={user}"),
                "--clear-groups".to_owned(),
                "--".to_owned(),
            ])
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    /// Runs to its end.
    pub(crate) fn run(&self, user: u32) -> Output {
        self.command(user).output().unwrap()
    }

    /// Runs to its end, which must be a good one; returns what it printed.
    pub(crate) fn well(&self, user: u32) -> String {
        let output = self.run(user);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {said}", self.args);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts it.
    pub(crate) fn start(&self, user: u32) -> Server {
        let mut command = self.command(user);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Server(command.spawn().unwrap())
    }
}

/// A server. Killed when it is dropped.
pub(crate) struct Server(Child);

impl Server {
    /// Whether it still runs.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        let ended = self.0.try_wait()?;
        anyhow::ensure!(ended.is_none(), "it ended: {ended:?}");
        Ok(())
    }

    /// Ends it as Kubernetes does, by a signal, and waits until it has ended.
    pub(crate) fn stop(mut self, signal: Signal) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, signal).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either it has ended, or it ends now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
