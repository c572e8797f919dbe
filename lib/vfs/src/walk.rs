//! From a path to a place: path_resolution(7).
//!
//! A walk goes component by component over in-memory directories and the table of /proc, crosses mounts both ways and
//! follows symbolic links, 40 at most. Where it enters a prefix that is served elsewhere it stops, and the rest of the path
//! (`.` and `..` resolved by name, never above the mount) goes to that server. Without symbolic links nothing is allocated.

use crate::contents::Contents;
use crate::errno::Errno;
use crate::mount::MountId;
use crate::name::{NAME_MAX, Name, PATH_MAX};
use crate::node::{Body, InodeId, Node, Place};
use crate::procfs_tree::Link;
use crate::tmpfs::EXEC;
use crate::types::{Ctx, Fd};
use crate::vfs::Vfs;
use alloc::vec::Vec;
use linux_raw_sys::general as sys;

/// Most symbolic links followed in one walk.
const MAX_LINKS: u32 = 40;

/// What to do at the last component.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Follow {
    /// Follow a symbolic link.
    Yes,
    /// As `Yes`, for `O_CREAT`: a slash behind the last name is `EISDIR`, whatever is there.
    Create,
    /// Don't, unless a slash follows.
    No,
    /// Never: the name itself is meant (create, remove, rename).
    Name,
}

impl Follow {
    /// From `AT_SYMLINK_NOFOLLOW`.
    pub(crate) fn unless_nofollow(flags: u32) -> Follow {
        if flags & sys::AT_SYMLINK_NOFOLLOW != 0 { Follow::No } else { Follow::Yes }
    }
}

/// Where a walk ended.
#[derive(Debug)]
pub(crate) enum Walked {
    /// Here.
    Local(Spot),
    /// At a server.
    Remote(RemoteSpot),
}

/// The end of a walk among our own files.
#[derive(Debug)]
pub(crate) struct Spot {
    /// The directory of the last component.
    pub(crate) dir: Place,
    pub(crate) last: Last,
    /// What is there; `None`: no such name.
    pub(crate) place: Option<Place>,
    /// A slash followed the last component.
    pub(crate) slash: bool,
}

/// The last component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    Name(Name),
    Dot,
    DotDot,
    /// The path was only slashes.
    Root,
    /// A magic link of /proc was followed, or the descriptor itself meant.
    Jump,
}

/// The end of a walk at a server.
#[derive(Debug)]
pub(crate) struct RemoteSpot {
    pub(crate) mount: MountId,
    /// Below the mount.
    pub(crate) path: Vec<u8>,
}

impl Spot {
    /// What is there, or `ENOENT`.
    pub(crate) fn existing(&self) -> Result<Place, Errno> {
        self.place.ok_or(Errno::ENOENT)
    }

    /// The in-memory directory in which a name is to be changed. `EPERM`-like refusals of /proc come out as `EACCES`.
    pub(crate) fn dir_inode(&self) -> Result<InodeId, Errno> {
        self.dir.inode().ok_or(Errno::EACCES)
    }
}

/// One step's result.
enum Step {
    At(Option<Place>),
    Text(Vec<u8>),
    Jump(Place),
}

struct Walker<'a> {
    ctx: &'a Ctx<'a>,
    root: Place,
    follow: Follow,
    links: u32,
}

impl Walker<'_> {
    /// Whether a link at the last component is followed.
    #[inline]
    fn follows(&self, slash: bool) -> bool {
        match self.follow {
            Follow::Yes | Follow::Create => true,
            Follow::No => slash,
            Follow::Name => false,
        }
    }
}

impl<C: Contents> Vfs<C> {
    /// Where a walk from `dirfd` starts.
    pub(crate) fn start(&self, ctx: &Ctx, dirfd: Fd) -> Result<Place, Errno> {
        if dirfd == sys::AT_FDCWD {
            return Ok(self.contexts.get(ctx.fs).ok_or(Errno::ENOENT)?.cwd);
        }
        Ok(self.desc(ctx, dirfd)?.1.place)
    }

    /// Walks `path`. An empty path is `ENOENT`.
    pub(crate) fn walk(&self, ctx: &Ctx, dirfd: Fd, path: &[u8], follow: Follow) -> Result<Walked, Errno> {
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let first = *path.first().ok_or(Errno::ENOENT)?;
        let root = self.contexts.get(ctx.fs).ok_or(Errno::ENOENT)?.root;
        let start = if first == b'/' { self.topmost_if_covered(root) } else { self.start(ctx, dirfd)? };
        let mut walker = Walker { ctx, root, follow, links: 0 };
        self.walk_from(&mut walker, start, path)
    }

    /// As `walk`, but with `AT_EMPTY_PATH` an empty path is the descriptor (or working directory) itself.
    pub(crate) fn walk_at(&self, ctx: &Ctx, dirfd: Fd, path: &[u8], flags: u32) -> Result<Walked, Errno> {
        if !path.is_empty() || flags & sys::AT_EMPTY_PATH == 0 {
            return self.walk(ctx, dirfd, path, Follow::unless_nofollow(flags));
        }
        let place = self.start(ctx, dirfd)?;
        Ok(match place.node {
            Node::Remote(id) => {
                let node = self.remotes.get(id).ok_or(Errno::ENOENT)?;
                Walked::Remote(RemoteSpot { mount: place.mount, path: node.path.clone() })
            }
            _ => Walked::Local(Spot { dir: place, last: Last::Jump, place: Some(place), slash: false }),
        })
    }

    fn walk_from(&self, walker: &mut Walker, start: Place, path: &[u8]) -> Result<Walked, Errno> {
        let mut storage: Option<Vec<u8>> = None;
        let mut at = start;
        let mut pos = 0;
        // What the path so far ended with, in case nothing follows.
        let mut ended = Spot { dir: start, last: Last::Root, place: Some(start), slash: false };
        loop {
            let text = storage.as_deref().unwrap_or(path);
            if let Node::Remote(_) = at.node {
                match self.walk_remote(walker.root, at, text.get(pos..).unwrap_or(&[]))? {
                    RemoteWalk::Ends(spot) => return Ok(Walked::Remote(spot)),
                    RemoteWalk::Leaves(place, used) => {
                        at = place;
                        pos += used;
                        ended = Spot { dir: at, last: Last::DotDot, place: Some(at), slash: false };
                        continue;
                    }
                }
            }
            let Some((component, next, last, slash)) = component(text, pos) else {
                return Ok(Walked::Local(ended));
            };
            let found = self.step(walker, at, component)?;
            let name = last_of(component)?;
            let must_follow = !last || walker.follows(slash);
            if last && slash && walker.follow == Follow::Create && matches!(name, Last::Name(_)) {
                return Err(Errno::EISDIR);
            }
            let place = match self.link_at(walker, found, must_follow)? {
                Step::Text(target) => {
                    let mut joined = target;
                    joined.extend_from_slice(text.get(next..).unwrap_or(&[]));
                    if joined.len() >= PATH_MAX {
                        return Err(Errno::ENAMETOOLONG);
                    }
                    if joined.first() == Some(&b'/') {
                        at = self.topmost_if_covered(walker.root);
                    }
                    ended = Spot { dir: at, last: Last::Root, place: Some(at), slash: false };
                    storage = Some(joined);
                    pos = 0;
                    continue;
                }
                Step::Jump(place) => {
                    ended = Spot { dir: at, last: Last::Jump, place: Some(place), slash };
                    Some(place)
                }
                Step::At(place) => {
                    ended = Spot { dir: at, last: name, place, slash };
                    place
                }
            };
            pos = next;
            if last && !matches!(place.map(|p| p.node), Some(Node::Remote(_))) {
                self.check_slash(walker, &ended)?;
                return Ok(Walked::Local(ended));
            }
            at = place.ok_or(Errno::ENOENT)?;
        }
    }

    /// A slash behind the last component means a directory.
    fn check_slash(&self, walker: &Walker, spot: &Spot) -> Result<(), Errno> {
        match spot.place {
            Some(place) if spot.slash && walker.follow != Follow::Name && !self.is_dir(place) => Err(Errno::ENOTDIR),
            _ => Ok(()),
        }
    }

    /// Whether a place is a directory, as far as is known here.
    pub(crate) fn is_dir(&self, place: Place) -> bool {
        match place.node {
            Node::Inode(id) => self.inodes.get(id).is_some_and(|i| i.is_dir()),
            Node::Proc(node) => node.is_dir(),
            Node::Remote(id) => self.remotes.get(id).is_some_and(|n| n.directory),
        }
    }

    /// One component from `at`, a directory that must be searchable.
    #[inline]
    fn step(&self, walker: &Walker, at: Place, name: &[u8]) -> Result<Option<Place>, Errno> {
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        match at.node {
            Node::Inode(id) => {
                let dir = self.inode(id)?;
                let Body::Dir { entries, .. } = &dir.body else {
                    return Err(Errno::ENOTDIR);
                };
                if !dir.permits(walker.ctx.cred, EXEC) {
                    return Err(Errno::EACCES);
                }
                match name {
                    b"." => Ok(Some(at)),
                    b".." => Ok(Some(self.parent(walker.root, at)?)),
                    _ => Ok(entries.get(name).map(|inode| self.through(at.mount, inode))),
                }
            }
            Node::Proc(node) => {
                if !node.is_dir() {
                    return Err(Errno::ENOTDIR);
                }
                if !self.proc_permits(walker.ctx, node, EXEC)? {
                    return Err(Errno::EACCES);
                }
                match name {
                    b"." => Ok(Some(at)),
                    b".." => Ok(Some(self.parent(walker.root, at)?)),
                    _ => {
                        let child = self.proc_lookup(walker.ctx, node, name);
                        Ok(child.map(|node| Place { mount: at.mount, node: Node::Proc(node) }))
                    }
                }
            }
            Node::Remote(_) => Err(Errno::EIO),
        }
    }

    /// An inode as seen through a mount: what is mounted on it, if anything.
    #[inline]
    fn through(&self, mount: MountId, inode: InodeId) -> Place {
        self.topmost_if_covered(Place { mount, node: Node::Inode(inode) })
    }

    #[inline]
    fn topmost_if_covered(&self, place: Place) -> Place {
        match place.inode().and_then(|id| self.inodes.get(id)) {
            Some(inode) if inode.covered => self.topmost(place),
            _ => place,
        }
    }

    /// `..`: over the roots of mounts, never above the process's root.
    pub(crate) fn parent(&self, root: Place, mut at: Place) -> Result<Place, Errno> {
        let top = self.topmost_if_covered(root);
        loop {
            if at == root || at == top {
                return Ok(at);
            }
            let mount = self.mounts.get(at.mount).ok_or(Errno::ENOENT)?;
            match mount.point {
                Some(point) if mount.root == at.node => at = point,
                None if mount.root == at.node => return Ok(at),
                _ => break,
            }
        }
        match at.node {
            Node::Inode(id) => match &self.inode(id)?.body {
                Body::Dir { parent, .. } => Ok(self.through(at.mount, *parent)),
                _ => Err(Errno::ENOTDIR),
            },
            Node::Proc(node) => Ok(Place { mount: at.mount, node: Node::Proc(node.parent()) }),
            Node::Remote(_) => Err(Errno::EIO),
        }
    }

    /// If what was found is a link to be followed: where it goes.
    #[inline]
    fn link_at(&self, walker: &mut Walker, found: Option<Place>, follow: bool) -> Result<Step, Errno> {
        let Some(place) = found else {
            return Ok(Step::At(None));
        };
        if !follow {
            return Ok(Step::At(found));
        }
        let step = match place.node {
            Node::Inode(id) => match &self.inode(id)?.body {
                Body::Symlink(target) => Step::Text(target.to_vec()),
                _ => return Ok(Step::At(found)),
            },
            Node::Proc(node) => match self.proc_link(walker.ctx, node)? {
                Some(Link::Text(text)) => Step::Text(text),
                Some(Link::Place(place)) => Step::Jump(place),
                None => return Ok(Step::At(found)),
            },
            Node::Remote(_) => return Ok(Step::At(found)),
        };
        walker.links += 1;
        if walker.links > MAX_LINKS { Err(Errno::ELOOP) } else { Ok(step) }
    }

    /// The rest of a path from a server's file or directory.
    fn walk_remote(&self, root: Place, at: Place, rest: &[u8]) -> Result<RemoteWalk, Errno> {
        let Node::Remote(id) = at.node else {
            return Err(Errno::EIO);
        };
        let mut path = self.remotes.get(id).ok_or(Errno::ENOENT)?.path.clone();
        let mut pos = 0;
        while let Some((component, next, ..)) = component(rest, pos) {
            if component.len() > NAME_MAX {
                return Err(Errno::ENAMETOOLONG);
            }
            match component {
                b"." => {}
                b".." if path.is_empty() => {
                    let mount = self.mounts.get(at.mount).ok_or(Errno::ENOENT)?;
                    let point = mount.point.ok_or(Errno::ENOENT)?;
                    return Ok(RemoteWalk::Leaves(self.parent(root, point)?, next));
                }
                b".." => path.truncate(path.iter().rposition(|b| *b == b'/').unwrap_or(0)),
                name => {
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(name);
                }
            }
            pos = next;
        }
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        Ok(RemoteWalk::Ends(RemoteSpot { mount: at.mount, path }))
    }
}

enum RemoteWalk {
    Ends(RemoteSpot),
    /// `..` out of the mount: where to, and how many bytes of the path are used up.
    Leaves(Place, usize),
}

/// The component at or after `pos`: its bytes, where the rest starts, whether it is the last one, whether a slash follows.
#[inline]
fn component(text: &[u8], pos: usize) -> Option<(&[u8], usize, bool, bool)> {
    let rest = text.get(pos..)?;
    let start = pos + rest.iter().position(|b| *b != b'/')?;
    let tail = text.get(start..)?;
    let len = tail.iter().position(|b| *b == b'/').unwrap_or(tail.len());
    let name = tail.get(..len)?;
    let after = tail.get(len..)?;
    let last = after.iter().all(|b| *b == b'/');
    Some((name, start + len, last, !after.is_empty()))
}

fn last_of(component: &[u8]) -> Result<Last, Errno> {
    Ok(match component {
        b"." => Last::Dot,
        b".." => Last::DotDot,
        name => Last::Name(Name::new(name)?),
    })
}
