//! execve for a running task, and the start of the first process.

use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::exec::{self, Program, Request, SCRIPT_DEPTH};
use crate::files::TaskFiles;
use crate::linux::Linux;
use crate::mm::Mm;
use crate::os::Stdio;
use crate::platform::Platform;
use crate::signal::AltStack;
use crate::spawn::reset_handlers;
use crate::step::Outcome;
use crate::task::{Group, GroupId, MmId, Progress, Task, TaskId};
use crate::wait::WaitKey;
use alloc::vec::Vec;
use linux_raw_sys::general as g;
use sal_abi::x86_64::GuestRegisters;
use sal_vfs::{Outcome as FileOutcome, Place};

/// What is executed.
pub(crate) struct ExecRequest {
    /// Relative to this directory.
    pub directory: i32,
    /// The file.
    pub path: Vec<u8>,
    /// `AT_*`
    pub flags: u32,
    /// Arguments.
    pub arguments: Vec<Vec<u8>>,
    /// Environment.
    pub environment: Vec<Vec<u8>>,
}

/// A file that was looked for.
enum Found {
    Here(Program),
    Script(Vec<u8>, Option<Vec<u8>>),
}

/// Either what was wanted, or a wait on the way to it.
enum Way<T> {
    There(T),
    Wait(Outcome),
}

impl Ctx<'_> {
    /// execve(2).
    pub(crate) fn exec(&mut self, mut request: ExecRequest) -> Result<Outcome, Errno> {
        let name = request.path.clone();
        let program = match self.find_program(&mut request)? {
            Way::There(program) => program,
            Way::Wait(outcome) => return Ok(outcome),
        };
        let interpreter = match exec::interpreter_name(self.vfs, &program)? {
            None => None,
            Some(path) => match self.find(g::AT_FDCWD, &path, 0).map_err(bad_interpreter)? {
                Way::There(Found::Here(program)) => Some(program),
                Way::There(Found::Script(..)) => return Err(Errno::ELIBBAD),
                Way::Wait(outcome) => return Ok(outcome),
            },
        };
        if self.group()?.threads.len() > 1 {
            return self.end_other_threads();
        }
        let loaded = self.load(&request, &name, &program, interpreter.as_ref())?;
        self.commit(loaded, &name)?;
        Ok(Outcome::Registers)
    }

    fn load(
        &mut self,
        request: &ExecRequest,
        name: &[u8],
        program: &Program,
        interpreter: Option<&Program>,
    ) -> Result<exec::Loaded, Errno> {
        let credentials = &self.me()?.credentials;
        let ([uid, euid, ..], [gid, egid, ..]) = (credentials.uid, credentials.gid);
        let request = Request {
            program,
            interpreter,
            arguments: &request.arguments,
            environment: &request.environment,
            path: name,
            ids: [uid, euid, gid, egid],
            stack_limit: self.group()?.limit(g::RLIMIT_STACK),
            randomize: self.os.config.randomize,
        };
        exec::load(&request, self.vfs, self.platform)
    }

    /// The program behind the path, through scripts; the arguments change with them.
    fn find_program(&mut self, request: &mut ExecRequest) -> Result<Way<Program>, Errno> {
        for _ in 0..=SCRIPT_DEPTH {
            match self.find(request.directory, &request.path, request.flags)? {
                Way::Wait(outcome) => return Ok(Way::Wait(outcome)),
                Way::There(Found::Here(program)) => return Ok(Way::There(program)),
                Way::There(Found::Script(interpreter, argument)) => {
                    let script = core::mem::replace(&mut request.path, interpreter.clone());
                    let old = core::mem::take(&mut request.arguments);
                    request.arguments = [interpreter]
                        .into_iter()
                        .chain(argument)
                        .chain([script])
                        .chain(old.into_iter().skip(1))
                        .collect();
                    request.directory = g::AT_FDCWD;
                    request.flags = 0;
                }
            }
        }
        Err(Errno::ELOOP)
    }

    fn find(&mut self, directory: i32, path: &[u8], flags: u32) -> Result<Way<Found>, Errno> {
        let outcome = self.files(&[], 0, |vfs, ctx, _| {
            let stat = match vfs.stat(ctx, directory, path, flags & g::AT_EMPTY_PATH) {
                Ok(FileOutcome::Done(stat)) => Some(stat),
                _ => None,
            };
            let found = vfs.open_exec(ctx, directory, path, flags)?;
            Ok(match found {
                FileOutcome::Done(place) => {
                    let name = vfs.path_of(ctx, place).unwrap_or_default();
                    FileOutcome::Done((place, name, stat))
                }
                FileOutcome::Block(on) => FileOutcome::Block(on),
                FileOutcome::Remote(op) => FileOutcome::Remote(op),
            })
        })?;
        match outcome.map_err(|e: sal_vfs::Errno| Errno::from(e))? {
            FileOutcome::Done((place, name, stat)) => self.inspect(place, name, stat).map(Way::There),
            FileOutcome::Block(on) => {
                let _ = self.wait_for_file(on)?;
                self.block(&[], None, Progress::None).map(Way::Wait)
            }
            // Programs on mounted prefixes come with the disk: nothing there can be mapped yet.
            FileOutcome::Remote(_) => Err(Errno::EACCES),
        }
    }

    fn inspect(&mut self, place: Place, name: Vec<u8>, stat: Option<sal_vfs::Stat>) -> Result<Found, Errno> {
        let head = match exec::head(self.vfs, place) {
            Ok(head) => head,
            Err(error) => {
                self.vfs.unpin(place);
                return Err(error);
            }
        };
        match exec::script(&head) {
            Ok(None) => {}
            Ok(Some((interpreter, argument))) => {
                self.vfs.unpin(place);
                return Ok(Found::Script(interpreter, argument));
            }
            Err(error) => {
                self.vfs.unpin(place);
                return Err(error);
            }
        }
        let (object, size) = exec::object_of(self.os, self.vfs, place, name, stat)?;
        let place = object.place.ok_or(Errno::ENOEXEC)?;
        let image = exec::read_image(self.vfs, place, &head, size);
        match image {
            Ok(image) => Ok(Found::Here(Program { place, object, image })),
            Err(error) => {
                drop(object);
                self.sweep_objects();
                Err(error)
            }
        }
    }

    /// exec leaves one thread: the others are told to end, and the call is made again when they are gone.
    fn end_other_threads(&mut self) -> Result<Outcome, Errno> {
        let (id, me) = (self.group_id()?, self.task);
        let group = self.group_mut()?;
        if group.exiting.is_some() || group.exec.is_some_and(|t| t != me) {
            return Err(Errno::RESTART_NO_INTR);
        }
        group.exec = Some(me);
        for thread in group.threads.clone().into_iter().filter(|t| *t != me) {
            self.os.alert(thread, self.platform);
            self.os.unstop(thread, self.platform);
        }
        self.block(&[WaitKey::Alone(id)], None, Progress::None)
    }

    /// The point of no return: the caller becomes the new program.
    fn commit(&mut self, loaded: exec::Loaded, name: &[u8]) -> Result<(), Errno> {
        self.release_memory();
        let id = self.task;
        let old = self.me()?.mm;
        let space = loaded.mm.space;
        let new = self.os.mms.insert(loaded.mm);
        self.me_mut()?.mm = new;
        self.platform.switch_space(id, space);
        self.os.leave_mm(old, self.platform);
        self.sweep_objects();
        self.own_files()?;
        self.own_identity(name)?;
        self.os.queues.wake(WaitKey::Vfork(id), &mut self.os.tasks, self.platform);
        *self.regs = GuestRegisters { rip: loaded.entry, rsp: loaded.stack, rflags: 0x202, ..Default::default() };
        Ok(())
    }

    fn own_files(&mut self) -> Result<(), Errno> {
        let tgid = self.group()?.tgid;
        let table = self.me()?.files.table;
        let own = self.vfs.table_fork(table)?;
        self.vfs.table_release(table, tgid);
        self.vfs.table_exec(own, tgid);
        self.me_mut()?.files.table = own;
        self.wake_for_files();
        Ok(())
    }

    fn own_identity(&mut self, name: &[u8]) -> Result<(), Errno> {
        let id = self.task;
        let comm = comm_of(name);
        let group = self.group_mut()?;
        group.execed = true;
        group.exec = None;
        group.leader = id;
        reset_handlers(&mut group.actions);
        let tgid = group.tgid;
        let task = self.me_mut()?;
        task.comm = comm;
        task.vfork_parent = None;
        task.alt_stack = AltStack::default();
        task.parent_death_signal = 0;
        task.set_child_tid = 0;
        let tid = core::mem::replace(&mut task.tid, tgid);
        self.os.tids.remove(&tid);
        self.os.tids.insert(tgid, id);
        Ok(())
    }
}

fn bad_interpreter(error: Errno) -> Errno {
    if error == Errno::ENOEXEC { Errno::ELIBBAD } else { error }
}

/// The last part of the path, cut to 15 bytes.
fn comm_of(path: &[u8]) -> [u8; 16] {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let mut comm = [0; 16];
    for (place, byte) in comm.iter_mut().zip(name.iter().take(15)) {
        *place = *byte;
    }
    comm
}

impl Linux {
    /// Makes process 1 with what [`crate::Config::stdio`] says as its input, output and error output, and
    /// starts the program `path` in it. An error says which part failed, for the log.
    pub fn start_init(
        &mut self,
        path: &[u8],
        arguments: Vec<Vec<u8>>,
        environment: Vec<Vec<u8>>,
        platform: &mut dyn Platform,
    ) -> Result<TaskId, (&'static str, Errno)> {
        let id = self.make_init(platform).map_err(|e| ("making the first process", e))?;
        let mut regs = GuestRegisters::default();
        let mut ctx = Ctx {
            os: &mut self.os,
            vfs: &mut self.vfs,
            task: id,
            regs: &mut regs,
            mem: &mut NoMemory,
            platform: &mut *platform,
        };
        let started = ctx.open_stdio().map_err(|e| ("opening its standard streams", e)).and_then(|()| {
            let request = ExecRequest { directory: g::AT_FDCWD, path: path.to_vec(), flags: 0, arguments, environment };
            match ctx.exec(request) {
                Ok(Outcome::Registers) => Ok(()),
                Ok(_) => Err(("executing the first program", Errno::EACCES)),
                Err(e) => Err(("executing the first program", e)),
            }
        });
        if let Err(error) = started {
            ctx.exit_thread();
            return Err(error);
        }
        let space = self.os.mm_of(id).map(|m| m.space).ok_or(("finding its memory", Errno::ESRCH))?;
        platform.spawn(id, space, &regs, None).map_err(|e| ("starting its thread", e))?;
        Ok(id)
    }

    /// Where the program `name` is: itself if it has a slash, else the first directory of `path` (as in `PATH`) that has
    /// an executable file of that name. `ENOENT`; `EACCES` if there are only others.
    pub fn find_program(&mut self, name: &[u8], path: &[u8], platform: &mut dyn Platform) -> Result<Vec<u8>, Errno> {
        if name.contains(&b'/') {
            return Ok(name.to_vec());
        }
        self.with_files(platform, |vfs, ctx| {
            let mut result = Err(Errno::ENOENT);
            for directory in path.split(|b| *b == b':').filter(|_| !name.is_empty()) {
                let file = [if directory.is_empty() { b"." } else { directory }, b"/", name].concat();
                match vfs.open_exec(ctx, g::AT_FDCWD, &file, 0) {
                    Ok(FileOutcome::Done(place)) => {
                        vfs.unpin(place);
                        return Ok(file);
                    }
                    Err(sal_vfs::Errno::EACCES) => result = Err(Errno::EACCES),
                    _ => {}
                }
            }
            result
        })?
    }

    fn make_init(&mut self, platform: &mut dyn Platform) -> Result<TaskId, Errno> {
        let now = platform.now();
        let space = platform.space_create()?;
        let mm: MmId = self.os.mms.insert(Mm::new(space));
        let files = TaskFiles { table: self.vfs.table_new(), fs: self.vfs.fs_new()?, cred: sal_vfs::Cred::root() };
        let id = self.os.tasks.insert(Task::new(1, GroupId::NONE, mm, files, now));
        let group = self.os.groups.insert(Group::new(1, id, now));
        if let Some(task) = self.os.tasks.get_mut(id) {
            task.group = group;
        }
        self.os.tids.insert(1, id);
        self.os.tgids.insert(1, group);
        self.os.last_pid = 1;
        self.os.init = Some(group);
        self.os.sessions.insert(1, Default::default());
        if self.os.config.stdio == Stdio::Terminal {
            self.os.take_tty(group, 0)?;
        }
        Ok(id)
    }
}

impl Ctx<'_> {
    fn open_stdio(&mut self) -> Result<(), Errno> {
        match self.os.config.stdio {
            Stdio::Terminal => (0..3).try_for_each(|_| self.open_device(b"/dev/console", g::O_RDWR)),
            Stdio::Streams => STREAM_NODES.iter().zip(1..).try_for_each(|((path, flags), minor)| {
                let rdev = sal_vfs::makedev(crate::job::STREAM_MAJOR, minor);
                let made =
                    self.files(&[], 0, |vfs, ctx, _| vfs.mknod(ctx, g::AT_FDCWD, path, g::S_IFCHR | 0o600, rdev))?;
                match made {
                    Ok(_) | Err(sal_vfs::Errno::EEXIST) => self.open_device(path, *flags),
                    Err(error) => Err(error.into()),
                }
            }),
        }
    }

    fn open_device(&mut self, path: &[u8], flags: u32) -> Result<(), Errno> {
        match self.files(&[], 0, |vfs, ctx, _| vfs.open(ctx, g::AT_FDCWD, path, flags, 0))?? {
            FileOutcome::Done(_) => Ok(()),
            _ => Err(Errno::ENXIO),
        }
    }
}

/// The streams' nodes, and how they are opened as 0, 1, 2.
const STREAM_NODES: [(&[u8], u32); 3] =
    [(b"/dev/hostin", g::O_RDONLY), (b"/dev/hostout", g::O_WRONLY), (b"/dev/hosterr", g::O_WRONLY)];

/// The memory of a process that has none yet.
struct NoMemory;

impl crate::user::UserMemory for NoMemory {
    fn read(&mut self, _: u64, _: &mut [u8]) -> Result<(), Errno> {
        Err(Errno::EFAULT)
    }
    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::EFAULT)
    }
    fn load_u32(&mut self, _: u64) -> Result<u32, Errno> {
        Err(Errno::EFAULT)
    }
    fn compare_exchange_u32(&mut self, _: u64, _: u32, _: u32) -> Result<u32, Errno> {
        Err(Errno::EFAULT)
    }
}
