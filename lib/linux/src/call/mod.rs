//! The table of system calls, one file per family. A handler is short: it takes its arguments apart, and asks. Adding a
//! call is a line here and a function there.

mod file;
mod futex;
mod ids;
mod info;
mod memory;
mod path;
mod poll;
mod process;
mod sched;
mod signal;
mod socket;
mod time;
mod tty;

pub(crate) use info::{RELEASE, VERSION};
pub(crate) use time::TICK;

use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::step::Outcome;

/// The six argument registers.
pub(crate) type Args = [u64; 6];
/// What every handler returns.
pub(crate) type Answer = Result<Outcome, Errno>;
/// What every handler is.
pub(crate) type Handler = fn(&mut Ctx, Args) -> Answer;

/// Length of the table; numbers at or above it do not exist.
pub(crate) const TABLE_LEN: usize = 464;

/// A call: its name, and who does it.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// As in the man page's title; empty: no such call.
    pub name: &'static str,
    /// Who does it; calls that nobody does yet are counted and get `ENOSYS`.
    pub handler: Handler,
}

/// The handler of calls that are not there.
fn missing(ctx: &mut Ctx, _: Args) -> Answer {
    let number = ctx.regs.rax.min(TABLE_LEN as u64) as usize;
    if let Some(count) = ctx.os.missing.get_mut(number) {
        *count += 1;
        ctx.os.missing_total += 1;
    }
    Err(Errno::ENOSYS)
}

/// `ENOSYS` is the answer here, and no call that is still to be done. `rseq`: a restartable sequence must be aborted whenever its thread
/// is preempted or moved inside it, and the kernel below preempts a guest without the personality's knowledge. A registration would promise
/// what nobody keeps; C libraries ask once and do without.
fn refused(_: &mut Ctx, _: Args) -> Answer {
    Err(Errno::ENOSYS)
}

/// What a number stands for.
#[inline(always)]
pub(crate) fn entry(number: u64) -> Entry {
    match TABLE.get(number as usize) {
        Some(entry) => *entry,
        None => Entry { name: "", handler: missing },
    }
}

macro_rules! table {
    ($($number:literal $name:ident $(=> $handler:path)?;)*) => {
        /// By number.
        pub(crate) static TABLE: [Entry; TABLE_LEN] = {
            let mut table = [Entry { name: "", handler: missing }; TABLE_LEN];
            $(table[$number] = Entry { name: stringify!($name), handler: table!(@ $($handler)?) };)*
            table
        };
    };
    (@ $handler:path) => { $handler };
    (@) => { missing };
}

table! {
    0 read => file::read;
    1 write => file::write;
    2 open => file::open;
    3 close => file::close;
    4 stat => path::stat;
    5 fstat => path::fstat;
    6 lstat => path::lstat;
    7 poll => poll::poll;
    8 lseek => file::lseek;
    9 mmap => memory::mmap;
    10 mprotect => memory::mprotect;
    11 munmap => memory::munmap;
    12 brk => memory::brk;
    13 rt_sigaction => signal::rt_sigaction;
    14 rt_sigprocmask => signal::rt_sigprocmask;
    15 rt_sigreturn => signal::rt_sigreturn;
    16 ioctl => tty::ioctl;
    17 pread64 => file::pread64;
    18 pwrite64 => file::pwrite64;
    19 readv => file::readv;
    20 writev => file::writev;
    21 access => path::access;
    22 pipe => file::pipe;
    23 select => poll::select;
    24 sched_yield => sched::sched_yield;
    25 mremap => memory::mremap;
    26 msync => memory::msync;
    27 mincore => memory::mincore;
    28 madvise => memory::madvise;
    29 shmget;
    30 shmat;
    31 shmctl;
    32 dup => file::dup;
    33 dup2 => file::dup2;
    34 pause => signal::pause;
    35 nanosleep => time::nanosleep;
    36 getitimer => time::getitimer;
    37 alarm => time::alarm;
    38 setitimer => time::setitimer;
    39 getpid => process::getpid;
    40 sendfile => file::sendfile;
    41 socket;
    42 connect;
    43 accept;
    44 sendto => socket::sendto;
    45 recvfrom => socket::recvfrom;
    46 sendmsg => socket::sendmsg;
    47 recvmsg => socket::recvmsg;
    48 shutdown => socket::shutdown;
    49 bind;
    50 listen;
    51 getsockname => socket::getsockname;
    52 getpeername => socket::getpeername;
    53 socketpair => socket::socketpair;
    54 setsockopt;
    55 getsockopt => socket::getsockopt;
    56 clone => process::clone;
    57 fork => process::fork;
    58 vfork => process::vfork;
    59 execve => process::execve;
    60 exit => process::exit;
    61 wait4 => process::wait4;
    62 kill => signal::kill;
    63 uname => info::uname;
    64 semget;
    65 semop;
    66 semctl;
    67 shmdt;
    68 msgget;
    69 msgsnd;
    70 msgrcv;
    71 msgctl;
    72 fcntl => file::fcntl;
    73 flock => file::flock;
    74 fsync => file::fsync;
    75 fdatasync => file::fdatasync;
    76 truncate => path::truncate;
    77 ftruncate => file::ftruncate;
    78 getdents;
    79 getcwd => path::getcwd;
    80 chdir => path::chdir;
    81 fchdir => path::fchdir;
    82 rename => path::rename;
    83 mkdir => path::mkdir;
    84 rmdir => path::rmdir;
    85 creat => file::creat;
    86 link => path::link;
    87 unlink => path::unlink;
    88 symlink => path::symlink;
    89 readlink => path::readlink;
    90 chmod => path::chmod;
    91 fchmod => path::fchmod;
    92 chown => path::chown;
    93 fchown => path::fchown;
    94 lchown => path::lchown;
    95 umask => path::umask;
    96 gettimeofday => time::gettimeofday;
    97 getrlimit => info::getrlimit;
    98 getrusage => info::getrusage;
    99 sysinfo => info::sysinfo;
    100 times => time::times;
    101 ptrace;
    102 getuid => ids::getuid;
    103 syslog;
    104 getgid => ids::getgid;
    105 setuid => ids::setuid;
    106 setgid => ids::setgid;
    107 geteuid => ids::geteuid;
    108 getegid => ids::getegid;
    109 setpgid => ids::setpgid;
    110 getppid => process::getppid;
    111 getpgrp => ids::getpgrp;
    112 setsid => ids::setsid;
    113 setreuid => ids::setreuid;
    114 setregid => ids::setregid;
    115 getgroups => ids::getgroups;
    116 setgroups => ids::setgroups;
    117 setresuid => ids::setresuid;
    118 getresuid => ids::getresuid;
    119 setresgid => ids::setresgid;
    120 getresgid => ids::getresgid;
    121 getpgid => ids::getpgid;
    122 setfsuid => ids::setfsuid;
    123 setfsgid => ids::setfsgid;
    124 getsid => ids::getsid;
    125 capget => ids::capget;
    126 capset => ids::capset;
    127 rt_sigpending => signal::rt_sigpending;
    128 rt_sigtimedwait => signal::rt_sigtimedwait;
    129 rt_sigqueueinfo => signal::rt_sigqueueinfo;
    130 rt_sigsuspend => signal::rt_sigsuspend;
    131 sigaltstack => signal::sigaltstack;
    132 utime => path::utime;
    133 mknod => path::mknod;
    134 uselib;
    135 personality => process::personality;
    136 ustat;
    137 statfs => path::statfs;
    138 fstatfs => path::fstatfs;
    139 sysfs;
    140 getpriority => sched::getpriority;
    141 setpriority => sched::setpriority;
    142 sched_setparam => sched::sched_setparam;
    143 sched_getparam => sched::sched_getparam;
    144 sched_setscheduler => sched::sched_setscheduler;
    145 sched_getscheduler => sched::sched_getscheduler;
    146 sched_get_priority_max => sched::sched_get_priority_max;
    147 sched_get_priority_min => sched::sched_get_priority_min;
    148 sched_rr_get_interval;
    149 mlock => memory::mlock;
    150 munlock => memory::munlock;
    151 mlockall => memory::mlockall;
    152 munlockall => memory::munlockall;
    153 vhangup;
    154 modify_ldt;
    155 pivot_root;
    156 _sysctl;
    157 prctl => process::prctl;
    158 arch_prctl => process::arch_prctl;
    159 adjtimex;
    160 setrlimit => info::setrlimit;
    161 chroot => path::chroot;
    162 sync => file::sync;
    163 acct;
    164 settimeofday => time::settimeofday;
    165 mount => path::mount;
    166 umount2 => path::umount2;
    167 swapon;
    168 swapoff;
    169 reboot => info::reboot;
    170 sethostname => info::sethostname;
    171 setdomainname => info::setdomainname;
    172 iopl;
    173 ioperm;
    174 create_module;
    175 init_module;
    176 delete_module;
    177 get_kernel_syms;
    178 query_module;
    179 quotactl;
    180 nfsservctl;
    181 getpmsg;
    182 putpmsg;
    183 afs_syscall;
    184 tuxcall;
    185 security;
    186 gettid => process::gettid;
    187 readahead => file::readahead;
    188 setxattr;
    189 lsetxattr;
    190 fsetxattr;
    191 getxattr;
    192 lgetxattr;
    193 fgetxattr;
    194 listxattr;
    195 llistxattr;
    196 flistxattr;
    197 removexattr;
    198 lremovexattr;
    199 fremovexattr;
    200 tkill => signal::tkill;
    201 time => time::time;
    202 futex => futex::futex;
    203 sched_setaffinity => sched::sched_setaffinity;
    204 sched_getaffinity => sched::sched_getaffinity;
    205 set_thread_area;
    206 io_setup;
    207 io_destroy;
    208 io_getevents;
    209 io_submit;
    210 io_cancel;
    211 get_thread_area;
    212 lookup_dcookie;
    213 epoll_create;
    214 epoll_ctl_old;
    215 epoll_wait_old;
    216 remap_file_pages;
    217 getdents64 => file::getdents64;
    218 set_tid_address => process::set_tid_address;
    219 restart_syscall;
    220 semtimedop;
    221 fadvise64 => file::fadvise64;
    222 timer_create;
    223 timer_settime;
    224 timer_gettime;
    225 timer_getoverrun;
    226 timer_delete;
    227 clock_settime => time::clock_settime;
    228 clock_gettime => time::clock_gettime;
    229 clock_getres => time::clock_getres;
    230 clock_nanosleep => time::clock_nanosleep;
    231 exit_group => process::exit_group;
    232 epoll_wait;
    233 epoll_ctl;
    234 tgkill => signal::tgkill;
    235 utimes => path::utimes;
    236 vserver;
    237 mbind;
    238 set_mempolicy;
    239 get_mempolicy;
    240 mq_open;
    241 mq_unlink;
    242 mq_timedsend;
    243 mq_timedreceive;
    244 mq_notify;
    245 mq_getsetattr;
    246 kexec_load;
    247 waitid => process::waitid;
    248 add_key;
    249 request_key;
    250 keyctl;
    251 ioprio_set;
    252 ioprio_get;
    253 inotify_init;
    254 inotify_add_watch;
    255 inotify_rm_watch;
    256 migrate_pages;
    257 openat => file::openat;
    258 mkdirat => path::mkdirat;
    259 mknodat => path::mknodat;
    260 fchownat => path::fchownat;
    261 futimesat => path::futimesat;
    262 newfstatat => path::newfstatat;
    263 unlinkat => path::unlinkat;
    264 renameat => path::renameat;
    265 linkat => path::linkat;
    266 symlinkat => path::symlinkat;
    267 readlinkat => path::readlinkat;
    268 fchmodat => path::fchmodat;
    269 faccessat => path::faccessat;
    270 pselect6 => poll::pselect6;
    271 ppoll => poll::ppoll;
    272 unshare;
    273 set_robust_list => process::set_robust_list;
    274 get_robust_list => process::get_robust_list;
    275 splice;
    276 tee;
    277 sync_file_range => file::sync_file_range;
    278 vmsplice;
    279 move_pages;
    280 utimensat => path::utimensat;
    281 epoll_pwait;
    282 signalfd;
    283 timerfd_create;
    284 eventfd;
    285 fallocate => file::fallocate;
    286 timerfd_settime;
    287 timerfd_gettime;
    288 accept4;
    289 signalfd4;
    290 eventfd2;
    291 epoll_create1;
    292 dup3 => file::dup3;
    293 pipe2 => file::pipe2;
    294 inotify_init1;
    295 preadv => file::preadv;
    296 pwritev => file::pwritev;
    297 rt_tgsigqueueinfo => signal::rt_tgsigqueueinfo;
    298 perf_event_open;
    299 recvmmsg;
    300 fanotify_init;
    301 fanotify_mark;
    302 prlimit64 => info::prlimit64;
    303 name_to_handle_at;
    304 open_by_handle_at;
    305 clock_adjtime;
    306 syncfs => file::syncfs;
    307 sendmmsg;
    308 setns;
    309 getcpu => sched::getcpu;
    310 process_vm_readv;
    311 process_vm_writev;
    312 kcmp;
    313 finit_module;
    314 sched_setattr;
    315 sched_getattr;
    316 renameat2 => path::renameat2;
    317 seccomp;
    318 getrandom => info::getrandom;
    319 memfd_create;
    320 kexec_file_load;
    321 bpf;
    322 execveat => process::execveat;
    323 userfaultfd;
    324 membarrier => memory::membarrier;
    325 mlock2;
    326 copy_file_range => file::copy_file_range;
    327 preadv2 => file::preadv2;
    328 pwritev2 => file::pwritev2;
    329 pkey_mprotect;
    330 pkey_alloc;
    331 pkey_free;
    332 statx => path::statx;
    333 io_pgetevents;
    334 rseq => refused;
    335 uretprobe;
    424 pidfd_send_signal;
    425 io_uring_setup;
    426 io_uring_enter;
    427 io_uring_register;
    428 open_tree;
    429 move_mount;
    430 fsopen;
    431 fsconfig;
    432 fsmount;
    433 fspick;
    434 pidfd_open;
    435 clone3 => process::clone3;
    436 close_range => file::close_range;
    437 openat2;
    438 pidfd_getfd;
    439 faccessat2 => path::faccessat2;
    440 process_madvise;
    441 epoll_pwait2;
    442 mount_setattr;
    443 quotactl_fd;
    444 landlock_create_ruleset;
    445 landlock_add_rule;
    446 landlock_restrict_self;
    447 memfd_secret;
    448 process_mrelease;
    449 futex_waitv;
    450 set_mempolicy_home_node;
    451 cachestat;
    452 fchmodat2;
    453 map_shadow_stack;
    454 futex_wake;
    455 futex_wait;
    456 futex_requeue;
    457 statmount;
    458 listmount;
    459 lsm_get_self_attr;
    460 lsm_set_self_attr;
    461 lsm_list_modules;
    462 mseal;
    463 setxattrat;
}
