//! Loading: from checked headers to an address space that can be entered.

use super::elf::{self, Image, Segment};
use super::stack::{Start, build};
use crate::errno::Errno;
use crate::files::{Store, VecDest};
use crate::mm::{Label, MapRequest, Mm, Object, Place as At, USER_END};
use crate::platform::{Backing, ObjectId, Platform, Protection};
use crate::user::PAGE;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_raw_sys::auxvec as at;
use sal_vfs::{Place, Vfs};

/// A program file, found and pinned.
#[derive(Clone)]
pub(crate) struct Program {
    /// The file.
    pub place: Place,
    /// It as an object to map.
    pub object: Arc<Object>,
    /// Its headers.
    pub image: Image,
}

/// What is to be run.
pub(crate) struct Request<'a> {
    /// The program.
    pub program: &'a Program,
    /// Its dynamic linker, if it names one.
    pub interpreter: Option<&'a Program>,
    /// Arguments.
    pub arguments: &'a [Vec<u8>],
    /// Environment.
    pub environment: &'a [Vec<u8>],
    /// The path that was executed.
    pub path: &'a [u8],
    /// Real and effective user and group.
    pub ids: [u32; 4],
    /// `RLIMIT_STACK`
    pub stack_limit: u64,
    /// Randomise addresses.
    pub randomize: bool,
}

/// A program in its space.
pub(crate) struct Loaded {
    /// The space.
    pub mm: Mm,
    /// Where to start.
    pub entry: u64,
    /// With which stack pointer.
    pub stack: u64,
}

/// Where programs that go anywhere go (two thirds of the address space), as on Linux.
const RELOCATABLE_BASE: u64 = 0x5555_5555_4000;
/// The largest stack that is mapped at once; sparse, so that only touched pages count.
const MAX_STACK: u64 = 64 << 20;
/// The smallest.
const MIN_STACK: u64 = 128 << 10;
/// Free space kept below the stack.
const STACK_GAP: u64 = 1 << 20;
/// Arguments and environment may take this at most (`_STK_LIM / 4 * 3`).
const MAX_ARGUMENTS: u64 = 6 << 20;

/// Loads into a fresh space. On an error nothing is left.
pub(crate) fn load(request: &Request, vfs: &mut Vfs<Store>, platform: &mut dyn Platform) -> Result<Loaded, Errno> {
    let mut mm = Mm::new(platform.space_create()?);
    match fill(&mut mm, request, vfs, platform) {
        Ok((entry, stack)) => Ok(Loaded { mm, entry, stack }),
        Err(error) => {
            platform.space_destroy(mm.space);
            Err(error)
        }
    }
}

fn fill(
    mm: &mut Mm,
    request: &Request,
    vfs: &mut Vfs<Store>,
    platform: &mut dyn Platform,
) -> Result<(u64, u64), Errno> {
    let random = Random::new(request.randomize, platform);
    let stack_size = request.stack_limit.clamp(MIN_STACK, MAX_STACK).next_multiple_of(PAGE);
    let stack_top = USER_END - random.pages(0, 14);
    mm.mmap_top = stack_top - stack_size - STACK_GAP - random.pages(1, 16);

    let image = &request.program.image;
    let bias = if image.header.relocatable { RELOCATABLE_BASE + random.pages(2, 16) - image.span().0 } else { 0 };
    map_image(mm, request.program, bias, vfs, platform)?;
    let end = image.span().1.checked_add(bias).ok_or(Errno::ENOEXEC)?;
    mm.brk_start = end + random.pages(3, 8);
    mm.brk = mm.brk_start;
    let (entry, base) = match request.interpreter {
        None => (image.header.entry.wrapping_add(bias), 0),
        Some(interpreter) => map_interpreter(mm, interpreter, vfs, platform)?,
    };
    map_stack(mm, stack_top, stack_size, platform)?;
    let auxiliary = auxiliary(request, bias, base, platform);
    let start = Start {
        arguments: request.arguments,
        environment: request.environment,
        path: request.path,
        random: random.seed(),
        auxiliary: &auxiliary,
    };
    let (sp, bytes, mut layout) = build(stack_top, &start, MAX_ARGUMENTS.min(stack_size / 4 * 3))?;
    platform.space_write(mm.space, sp, &bytes)?;
    layout.code = code_range(image, bias);
    mm.layout = layout;
    mm.executable = Some(request.program.object.clone());
    Ok((entry, sp))
}

fn code_range(image: &Image, bias: u64) -> (u64, u64) {
    let code = image.segments.iter().find(|s| s.protection.contains(Protection::EXECUTE));
    code.map_or((0, 0), |s| (s.address + bias, s.address + s.file_size + bias))
}

fn map_stack(mm: &mut Mm, top: u64, size: u64, platform: &mut dyn Platform) -> Result<(), Errno> {
    let request = MapRequest {
        place: At::FixedNoReplace(top - size),
        length: size,
        protection: Protection::READ | Protection::WRITE,
        allowed: Protection::all(),
        backing: Backing::Anonymous,
        label: Label::Stack,
    };
    mm.map(request, u64::MAX, platform).map(|_| ())
}

fn map_interpreter(
    mm: &mut Mm,
    interpreter: &Program,
    vfs: &mut Vfs<Store>,
    platform: &mut dyn Platform,
) -> Result<(u64, u64), Errno> {
    let (start, end) = interpreter.image.span();
    let bias = if interpreter.image.header.relocatable {
        let base = mm.areas.gap_below(mm.mmap_top, crate::mm::USER_START, end - start).ok_or(Errno::ENOMEM)?;
        base - start
    } else {
        0
    };
    map_image(mm, interpreter, bias, vfs, platform)?;
    Ok((interpreter.image.header.entry.wrapping_add(bias), bias))
}

fn map_image(
    mm: &mut Mm,
    program: &Program,
    bias: u64,
    vfs: &mut Vfs<Store>,
    platform: &mut dyn Platform,
) -> Result<(), Errno> {
    for segment in &program.image.segments {
        let address = segment.address.checked_add(bias).ok_or(Errno::ENOEXEC)?;
        let placed = Segment { address, ..*segment };
        if placed.start() < crate::mm::USER_START || placed.end() > USER_END {
            return Err(Errno::ENOEXEC);
        }
        map_segment(mm, program, &placed, vfs, platform)?;
    }
    Ok(())
}

fn map_segment(
    mm: &mut Mm,
    program: &Program,
    segment: &Segment,
    vfs: &mut Vfs<Store>,
    platform: &mut dyn Platform,
) -> Result<(), Errno> {
    let file_end = segment.address + segment.file_size;
    let mapped_end = if segment.file_size == 0 { segment.start() } else { file_end.next_multiple_of(PAGE) };
    let mut map = |start: u64, end: u64, backing, label| {
        if start == end {
            return Ok(());
        }
        let request = MapRequest {
            place: At::Fixed(start),
            length: end - start,
            protection: segment.protection,
            allowed: Protection::all(),
            backing,
            label,
        };
        mm.map(request, u64::MAX, platform).map(|_| ())
    };
    let offset = segment.offset / PAGE * PAGE;
    let backing = Backing::Private { object: program.object.id, offset };
    map(segment.start(), mapped_end, backing, Label::Object(program.object.clone()))?;
    map(mapped_end, segment.end().max(mapped_end), Backing::Anonymous, Label::None)?;
    if segment.memory_size > segment.file_size && !file_end.is_multiple_of(PAGE) && segment.file_size != 0 {
        zero_tail(mm, program, segment, vfs, platform)?;
    }
    Ok(())
}

/// The page in which the file's part ends becomes the space's own: the file's bytes, then zeros.
fn zero_tail(
    mm: &Mm,
    program: &Program,
    segment: &Segment,
    vfs: &mut Vfs<Store>,
    platform: &mut dyn Platform,
) -> Result<(), Errno> {
    let file_end = segment.address + segment.file_size;
    let page = file_end / PAGE * PAGE;
    let kept = (file_end - page) as usize;
    let offset = (segment.offset + segment.file_size) / PAGE * PAGE;
    let mut bytes = read(vfs, program.place, offset, kept)?;
    bytes.resize(PAGE as usize, 0);
    platform.space_write(mm.space, page, &bytes)
}

/// Reads exactly `length` bytes of a pinned file; `ENOEXEC` if they are not there.
fn read(vfs: &mut Vfs<Store>, place: Place, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
    let mut to = VecDest { bytes: Vec::new(), limit: length };
    vfs.read_place(place, offset, &mut to)?;
    if to.bytes.len() == length { Ok(to.bytes) } else { Err(Errno::ENOEXEC) }
}

/// The first bytes of a file, fewer if it is short.
pub(crate) fn head(vfs: &mut Vfs<Store>, place: Place) -> Result<Vec<u8>, Errno> {
    let mut to = VecDest { bytes: Vec::new(), limit: super::HEAD };
    vfs.read_place(place, 0, &mut to)?;
    Ok(to.bytes)
}

/// Reads and checks a program's headers.
pub(crate) fn read_image(vfs: &mut Vfs<Store>, place: Place, head: &[u8], size: u64) -> Result<Image, Errno> {
    let header = elf::header(head)?;
    let in_file = header.table.checked_add(header.table_size() as u64).is_some_and(|end| end <= size);
    if !in_file {
        return Err(Errno::ENOEXEC);
    }
    let table = read(vfs, place, header.table, header.table_size())?;
    elf::image(header, &table, size)
}

/// The name of the interpreter that the program asks for.
pub(crate) fn interpreter_name(vfs: &mut Vfs<Store>, program: &Program) -> Result<Option<Vec<u8>>, Errno> {
    let Some((offset, length)) = program.image.interpreter else {
        return Ok(None);
    };
    let mut name = read(vfs, program.place, offset, length as usize)?;
    if name.pop() != Some(0) || name.is_empty() || name.contains(&0) {
        return Err(Errno::ENOEXEC);
    }
    Ok(Some(name))
}

fn auxiliary(request: &Request, bias: u64, base: u64, platform: &mut dyn Platform) -> Vec<(u32, u64)> {
    let image = &request.program.image;
    let headers = if image.headers_at == 0 { 0 } else { image.headers_at.wrapping_add(bias) };
    let [uid, euid, gid, egid] = request.ids.map(u64::from);
    alloc::vec![
        (at::AT_HWCAP, platform.hwcap()),
        (at::AT_PAGESZ, PAGE),
        (at::AT_CLKTCK, 100),
        (at::AT_PHDR, headers),
        (at::AT_PHENT, 56),
        (at::AT_PHNUM, image.header.count as u64),
        (at::AT_BASE, base),
        (at::AT_FLAGS, 0),
        (at::AT_ENTRY, image.header.entry.wrapping_add(bias)),
        (at::AT_UID, uid),
        (at::AT_EUID, euid),
        (at::AT_GID, gid),
        (at::AT_EGID, egid),
        (at::AT_SECURE, u64::from(uid != euid || gid != egid)),
        (at::AT_HWCAP2, 0),
        (at::AT_MINSIGSTKSZ, 1024 + platform.fpu_size() as u64),
    ]
}

/// What is random about a program's addresses.
struct Random {
    bytes: [u8; 32],
    addresses: bool,
}

impl Random {
    fn new(addresses: bool, platform: &mut dyn Platform) -> Random {
        let mut bytes = [0; 32];
        platform.random(&mut bytes);
        Random { bytes, addresses }
    }

    /// For `AT_RANDOM`.
    fn seed(&self) -> [u8; 16] {
        self.bytes.first_chunk().copied().unwrap_or_default()
    }

    /// Bytes of a random number of pages below `1 << bits`; `which`: the places differ.
    fn pages(&self, which: usize, bits: u32) -> u64 {
        let at = 16 + which * 4;
        let word: [u8; 4] = self.bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).unwrap_or_default();
        if self.addresses { (u32::from_le_bytes(word) as u64 & ((1 << bits) - 1)) * PAGE } else { 0 }
    }
}

/// The object of a pinned file, entered in the table of objects (which takes the pin over).
pub(crate) fn object_of(
    os: &mut crate::os::Os,
    vfs: &mut Vfs<Store>,
    place: Place,
    path: Vec<u8>,
    stat: Option<sal_vfs::Stat>,
) -> Result<(Arc<Object>, u64), Errno> {
    let (content, size) = match vfs.object_of(place) {
        Ok(found) => found,
        Err(error) => {
            vfs.unpin(place);
            return Err(error.into());
        }
    };
    let id = ObjectId::File(content);
    if let Some(known) = os.objects.get(&id) {
        vfs.unpin(place);
        return Ok((known.clone(), size));
    }
    let stat = stat.unwrap_or_default();
    let object = Arc::new(Object { id, place: Some(place), path, device: stat.dev, inode: stat.ino });
    os.objects.insert(id, object.clone());
    Ok((object, size))
}
