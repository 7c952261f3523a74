"""Shut this process in for good: rlimits, no capabilities, Landlock for files, seccomp for system calls.

Linux on x86_64 and aarch64, through ctypes alone. Landlock and seccomp bind the calling thread and its children,
so this runs right after a fork, before anything else. This file runs in the sandbox and stands alone.
"""

import ctypes
import functools
import os
import platform
import struct

try:
    import resource
except ImportError:  # Windows
    resource = None

# name:number on x86_64:number on aarch64, from the kernel's headers; "-" where an architecture has none
DENIED = """
fork:57:- vfork:58:- execve:59:221 execveat:322:281 ptrace:101:117 process_vm_readv:310:270
process_vm_writev:311:271 process_madvise:440:440 process_mrelease:448:448 kcmp:312:272 tkill:200:130
pidfd_open:434:434 pidfd_getfd:438:438 pidfd_send_signal:424:424 setsid:112:157 setpgid:109:154
sched_setaffinity:203:122 sched_setscheduler:144:119 sched_setparam:142:118 sched_setattr:314:274
setpriority:141:140 ioprio_set:251:30 setrlimit:160:164 set_mempolicy:238:237 mbind:237:235
migrate_pages:256:238 move_pages:279:239 set_mempolicy_home_node:450:450
socket:41:198 connect:42:203 bind:49:200 listen:50:201 accept:43:202 accept4:288:242 sendmsg:46:211
recvmsg:47:212 sendmmsg:307:269 recvmmsg:299:243
shmget:29:194 shmat:30:196 shmctl:31:195 shmdt:67:197 semget:64:190 semop:65:193 semctl:66:191
semtimedop:220:192 msgget:68:186 msgsnd:69:189 msgrcv:70:188 msgctl:71:187 mq_open:240:180 mq_unlink:241:181
mq_timedsend:242:182 mq_timedreceive:243:183 mq_notify:244:184 mq_getsetattr:245:185 memfd_create:319:279
memfd_secret:447:447
chmod:90:- fchmod:91:52 fchmodat:268:53 chown:92:- fchown:93:55 lchown:94:- fchownat:260:54 utime:132:-
utimes:235:- utimensat:280:88 futimesat:261:- setxattr:188:5 lsetxattr:189:6 fsetxattr:190:7 removexattr:197:14
lremovexattr:198:15 fremovexattr:199:16 mknod:133:- mknodat:259:33 truncate:76:45
mount:165:40 umount2:166:39 pivot_root:155:41 chroot:161:51 open_tree:428:428 move_mount:429:429 fsopen:430:430
fsconfig:431:431 fsmount:432:432 fspick:433:433 mount_setattr:442:442 name_to_handle_at:303:264
open_by_handle_at:304:265 unshare:272:97 setns:308:268 quotactl:179:60 quotactl_fd:443:443 swapon:167:224
swapoff:168:225 fanotify_init:300:262 fanotify_mark:301:263
bpf:321:280 userfaultfd:323:282 io_uring_setup:425:425 io_uring_enter:426:426 io_uring_register:427:427
keyctl:250:219 add_key:248:217 request_key:249:218 perf_event_open:298:241 init_module:175:105
finit_module:313:273 delete_module:176:106 kexec_load:246:104 kexec_file_load:320:294 reboot:169:142
syslog:103:116 acct:163:89 settimeofday:164:170 clock_settime:227:112 clock_adjtime:305:266 adjtimex:159:171
sethostname:170:161 setdomainname:171:162 personality:135:92 iopl:172:- ioperm:173:- modify_ldt:154:-
vhangup:153:58 uselib:134:- lookup_dcookie:212:18 nfsservctl:180:42 splice:275:76 tee:276:77 vmsplice:278:75
seccomp:317:277 setuid:105:146 setgid:106:144 setreuid:113:145 setregid:114:143 setresuid:117:147
setresgid:119:149 setgroups:116:159 setfsuid:122:151 setfsgid:123:152 capset:126:91
"""
CAPSET = "capset:126:91"  # itself denied as well, but needed once
# those that one argument decides about
JUDGED = "kill:62:129 tgkill:234:131 rt_sigqueueinfo:129:138 rt_tgsigqueueinfo:297:240 clone:56:220 "
JUDGED += "prlimit64:302:261 prctl:157:167 fcntl:72:25 ioctl:16:29 mmap:9:222 socketpair:53:199 clone3:435:435"
LAST = 450  # the newest call these tables were made for: what is newer does not exist in here
MACHINES = {"x86_64": (1, 0xC000003E), "aarch64": (2, 0xC00000B7)}  # column of the tables, AUDIT_ARCH

ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026  # what a filter may answer
LOAD, EQUAL, ABOVE, ANY, ANSWER = 0x20, 0x15, 0x25, 0x45, 0x06  # BPF: load a word, jump if = , > , & ; return
NUMBER, ARCH = 0, 4  # where seccomp's record holds them

OWN = "own pid"  # stands in the filter until that is known

READ_FILE, READ_DIR = 1 << 2, 1 << 3


class Unsupported(OSError):
    """This system cannot do it; the message says what is missing."""


@functools.cache
def libc():
    return ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments) -> int:
    """A raw system call; OSError where it fails."""
    result = libc().syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def prctl(*arguments) -> None:
    if libc().prctl(*map(ctypes.c_ulong, (*arguments, 0, 0, 0, 0)[:5])) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def numbers(table: str) -> dict[str, int]:
    """The system calls of a table by their numbers on this machine."""
    machine = platform.machine()
    if platform.system() != "Linux":
        raise Unsupported("only Linux has seccomp")
    if machine not in MACHINES:
        raise Unsupported(f"the tables of system calls know x86_64 and aarch64, not {machine}")
    rows = [entry.split(":") for entry in table.split()]
    return {row[0]: int(row[MACHINES[machine][0]]) for row in rows if row[MACHINES[machine][0]] != "-"}


# --- files: Landlock


def landlock_version() -> int:
    """The version of Landlock's interface; Unsupported where the kernel has none."""
    if platform.system() != "Linux":
        raise Unsupported("only Linux has Landlock")
    try:
        return call(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except OSError as error:
        raise Unsupported(f"no Landlock here ({error.strerror})") from None


def ruleset(readable, writable=(), listed=()) -> int:
    """Landlock's rules as a descriptor: read below `readable`, write below `writable`, see the names in `listed`."""
    version = landlock_version()
    bits = 13 if version < 2 else 14 if version < 3 else 15 if version < 5 else 16
    every = (1 << bits) - 1
    network, scoped = (3 if version >= 4 else 0), (3 if version >= 6 else 0)  # TCP; signals and abstract sockets
    attributes = struct.pack("QQQ", every, network, scoped)[: 8 if version < 4 else 16 if version < 6 else 24]
    rules = call(444, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    kinds = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11  # device nodes, sockets, pipes: nobody makes those
    allowed = dict.fromkeys(listed, READ_DIR) | dict.fromkeys(readable, READ_FILE | READ_DIR)
    allowed |= {path: every & ~(1 | kinds | 1 << 15) for path in writable}  # 1: execute, 15: ioctl on devices
    for path, rights in allowed.items():
        try:
            at = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # what is not there needs no rule
        if not os.path.isdir(path):
            rights &= READ_FILE | 1 << 1 | (1 << 14 if version >= 3 else 0)
        call(445, ctypes.c_int(rules), ctypes.c_int(1), struct.pack("=Qi", rights & every, at), ctypes.c_uint32(0))
        os.close(at)
    return rules


# --- system calls: seccomp


def program(own_pid: int) -> bytes:
    """The filter: everything but what is denied above, and signals to `own_pid` alone."""
    return struct.pack("=I", own_pid).join(parts(platform.machine()))


@functools.cache
def parts(machine: str) -> list[bytes]:
    """The filter, cut where a process's own pid belongs: to pack its steps anew would touch a page for each."""
    code = [struct.pack("HBB", *step[:3]) + (b"" if step[3] is OWN else struct.pack("=I", step[3]))
            for step in steps(machine)]  # fmt: skip
    ends = [at + 1 for at, piece in enumerate(code) if len(piece) == 4]
    return [b"".join(code[start:end]) for start, end in zip([0, *ends], [*ends, None], strict=True)]


@functools.cache
def steps(machine: str) -> list[tuple]:
    """The filter's steps, with OWN where a process's own pid belongs."""
    arch = MACHINES[machine][1]
    code: list[tuple] = []

    def put(kind, value, yes=0, no=0):
        code.append((kind, yes, no, value))

    def word(index, high=False):
        put(LOAD, 16 + 8 * index + 4 * high)

    def when(name, *body):
        """Run `body`, which ends in an answer on every path, for this call only."""
        skip = len(code)
        put(EQUAL, judged[name], 0, 0)
        for step in body:
            step()
        code[skip] = (EQUAL, 0, len(code) - skip - 1, judged[name])

    def answer(value):
        return lambda: put(ANSWER, value)

    def only(index, *values, test=EQUAL, yes=ALLOW, no=EPERM):
        """`yes` where the argument matches one of the values, `no` otherwise."""

        def body():
            word(index)
            for value in values:
                put(test, value, 0, 1)
                put(ANSWER, yes)
            put(ANSWER, no)

        return body

    judged = numbers(JUDGED)
    put(LOAD, ARCH)
    put(EQUAL, arch, 1, 0)
    put(ANSWER, KILL)  # another architecture's numbers mean other calls
    put(LOAD, NUMBER)
    put(ABOVE, LAST, 0, 1)
    put(ANSWER, ENOSYS)
    for number in numbers(DENIED).values():
        put(EQUAL, number, 0, 1)
        put(ANSWER, EPERM)
    for name in ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
        when(name, only(0, OWN))
    when("clone", only(0, 0x10000, test=ANY))  # CLONE_THREAD: threads, no processes
    when("clone3", answer(ENOSYS))  # its flags are out of sight; libc then takes clone
    when("socketpair", only(0, 1))  # AF_UNIX, which asyncio needs
    when("prctl", only(0, 15, 16))  # a thread's name
    when("fcntl", only(1, 8, 10, 15, 1024, 1026, yes=EPERM, no=ALLOW))  # SETOWN, SETSIG, …: signals to others
    when("ioctl", only(1, 0x5412, 0x541C, 0x8901, 0x8902, yes=EPERM, no=ALLOW))  # TIOCSTI and the owner of signals

    def reads_its_own_limits():
        for index, high in ((0, False), (2, False), (2, True)):
            word(index, high)
            put(EQUAL, 0, 1, 0)
            put(ANSWER, EPERM)
        put(ANSWER, ALLOW)

    def shared_and_anonymous():  # memory that RLIMIT_DATA does not count; so is what grows down like a stack
        word(3)
        put(ANY, 0x100, 0, 1)
        put(ANSWER, EPERM)
        put(ANY, 0x01, 1, 0)
        put(ANSWER, ALLOW)
        put(ANY, 0x20, 0, 1)
        put(ANSWER, EPERM)
        put(ANSWER, ALLOW)

    when("prlimit64", reads_its_own_limits)
    when("mmap", shared_and_anonymous)
    put(ANSWER, ALLOW)
    return code


def forbid(own_pid: int) -> None:
    """Load the filter for this thread; there is no way back."""
    text = ctypes.create_string_buffer(code := program(own_pid), len(code))
    record = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(text)))
    prctl(22, 2, ctypes.addressof(record))  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


# --- all of it


def limits(memory: int, cpu: int) -> None:
    """Bytes of private memory, seconds of CPU; small files, few descriptors, no core. Where the system has them."""
    if resource is None:
        return
    wanted = {"DATA": memory, "CPU": cpu, "FSIZE": 16 << 20, "NOFILE": 128, "CORE": 0, "MEMLOCK": 0, "MSGQUEUE": 0}
    for name, value in wanted.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is not None:
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (value, value))


def prepare() -> None:
    """Compute, before a fork, all that `enter` will need."""
    program(0)
    libc()


def enter(rules: int | None, memory: int, cpu: int) -> None:
    """Lock this process, which has one thread, for good. rules: of `ruleset`, None to go without Landlock."""
    limits(memory, cpu)
    prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: no orphan
    prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
    nothing = struct.pack("=II", 0x20080522, 0), bytes(24)
    call(numbers(CAPSET)["capset"], *nothing)  # root without its powers
    if rules is not None:
        call(446, ctypes.c_int(rules), ctypes.c_uint32(0))
        os.close(rules)
    forbid(os.getpid())


def missing() -> str:
    """Why the lockdown cannot work here, or ""."""
    try:
        numbers(DENIED)
        prctl(21)  # PR_GET_SECCOMP
        landlock_version()
    except OSError as error:
        return str(error)
    return ""
