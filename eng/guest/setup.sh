#!/usr/bin/env bash
# What the VM tests and `vfio vm` need, in the cache: QEMU with its vfio-user client, a guest kernel, an initramfs,
# and the kernel's user headers for the ABI tests. Prints nothing when all of it is there.
#
#   eng/guest/setup.sh                 qemu, kernel, initramfs, disks, headers and debian-kernel
#   eng/guest/setup.sh PART...         only these: qemu kernel initramfs disks headers debian-kernel
#   eng/guest/setup.sh build-kernel    builds our own kernel from Debian's sources (five to ten minutes on two cores)
#   eng/guest/setup.sh --env           prints the paths as shell assignments, and sets up nothing
#
# Layout below $VFIO_CACHE (default ~/.cache/vfio.net): each NAME is a link to NAME-KEY, where KEY changes with what
# the part is made from; a part appears by one rename when it is complete, so that a half download is never seen.
#   qemu/            unpacked packages; qemu/bin/qemu-system-x86_64 starts it from anywhere
#   kernel/          vmlinux, modules.cpio (empty for our own kernel, which has none), release, kind (own or debian)
#   debian-kernel/   the same of Debian's 6.12, which lacks iommufd, with drivers/NAME for each driver that it has more; also the fallback
#   initramfs/       base.cpio: busybox and the console agent; append modules.cpio and whatever a test brings
#   disks/           vmlinux of Debian's cloud kernel, tools.cpio (e2fsprogs, nvme-cli, fio), boot.img, OVMF.fd
#   headers/         usr/include of linux-libc-dev 7.3
#
# VFIO_KERNEL_IMAGE may name a zstd-compressed vmlinux of our own kernel (it must have the checksum below).
# VFIO_KERNEL_BUILD_MINUTES limits the build of our own kernel (15); Debian's kernel takes its place when it is over.

# shellcheck source=eng/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=eng/guest/apt.sh
. "$VFIO_ROOT/eng/guest/apt.sh"
# shellcheck source=eng/guest/kernel.sh
. "$VFIO_ROOT/eng/guest/kernel.sh"
# shellcheck source=eng/guest/disks.sh
. "$VFIO_ROOT/eng/guest/disks.sh"

GUEST=$VFIO_ROOT/eng/guest

# part NAME KEY FUNCTION: makes $VFIO_CACHE/NAME-KEY with FUNCTION FOLDER unless it is there, and points NAME at it.
part() {
  local name=$1 key=$2 make=$3 target=$VFIO_CACHE/$1-$2 folder
  if [ ! -e "$target" ]; then
    (
      flock 9
      [ ! -e "$target" ] || exit 0
      note "setting up $name (once; kept in $target)"
      folder=$(mktemp -d "$VFIO_CACHE/.$name.XXXXXX")
      # shellcheck disable=SC2064  # the folder of now is meant
      trap "rm -rf '$folder'" EXIT
      # A process of its own: the shell forgets "stop at the first error" in functions called from a condition.
      "$GUEST/setup.sh" --make "$make" "$folder" || exit 1
      chmod 755 "$folder"
      mv -T "$folder" "$target"
    ) 9>"$VFIO_CACHE/.lock-$name" || return 1
  fi
  point "$name" "$name-$key"
}

# point NAME FOLDER: the stable name leads to this version.
point() {
  [ "$(readlink "$VFIO_CACHE/$1" 2>/dev/null)" != "$2" ] || return 0
  ln -sfn "$2" "$VFIO_CACHE/.$1.link.$$"
  mv -T "$VFIO_CACHE/.$1.link.$$" "$VFIO_CACHE/$1"
}

# with_apt COMMAND...: the private apt state has one user at a time.
with_apt() {
  (
    flock 8
    apt_prepare
    "$@"
  ) 8>"$VFIO_CACHE/.lock-apt"
}

make_qemu() {
  local folder=$1
  with_apt fetch_closure trixie-backports "$folder" qemu-system-x86
  rm -rf "$folder"/usr/share/{doc,man,locale,info,lintian,bug} "$folder"/usr/share/qemu/*arm* "${folder:?}"/{etc,var}
  mkdir "$folder/bin"
  # Its own loader and libraries: nothing of the host's libc is used, and nothing has to be installed.
  cat >"$folder/bin/qemu-system-x86_64" <<'START'
#!/bin/sh
# readlink: the loader wants real paths, and this file may be reached through a link.
here=$(readlink -f "$0")
root=${here%/bin/*}
export QEMU_MODULE_DIR="$root/usr/lib/x86_64-linux-gnu/qemu"
exec "$root/usr/lib64/ld-linux-x86-64.so.2" --argv0 qemu-system-x86_64 \
  --library-path "$root/usr/lib/x86_64-linux-gnu" "$root/usr/bin/qemu-system-x86_64" \
  -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" "$@"
START
  chmod 755 "$folder/bin/qemu-system-x86_64"
  [[ $("$folder/bin/qemu-system-x86_64" -device help 2>/dev/null) == *'"vfio-user-pci"'* ]] ||
    die "the downloaded QEMU ($("$folder/bin/qemu-system-x86_64" --version | head -n 1)) has no vfio-user-pci"
}

make_headers() { with_apt fetch_packages trixie-backports "$1" linux-libc-dev; }

make_initramfs() {
  local folder=$1
  with_apt fetch_packages trixie "$folder/packages" busybox-static
  mkdir -p "$folder/root"/{bin,dev,proc,sys,tmp,run,etc,root,lib/modules}
  mv "$folder/packages/usr/bin/busybox" "$folder/root/bin/busybox"
  rm -rf "$folder/packages"
  ln -s busybox "$folder/root/bin/sh"
  install -m 755 "$GUEST/init" "$folder/root/init"
  install -m 755 "$GUEST/agent" "$folder/root/bin/agent"
  (cd "$folder/root" && find . | sort | ./bin/busybox cpio -o -H newc -R 0:0 2>/dev/null) >"$folder/base.cpio"
  mv "$folder/root/bin/busybox" "$folder/busybox"
  rm -rf "$folder/root"
}

setup() {
  local part
  for part; do
    case $part in
      qemu) part qemu 11-r1 make_qemu ;;
      headers) part headers 7.3-r1 make_headers ;;
      initramfs) part initramfs "r1-$(cat "$GUEST/init" "$GUEST/agent" | sha256sum | cut -c 1-12)" make_initramfs ;;
      disks) part disks "6.12-$(cat "$GUEST/init" "$GUEST/agent" "$GUEST/disks.sh" | sha256sum | cut -c 1-12)" make_disks ;;
      debian-kernel) part debian-kernel "$DEBIAN_KERNEL_KEY" make_debian_kernel ;;
      kernel) setup_kernel ;;
      build-kernel)
        part own-kernel "$OWN_KERNEL_KEY" build_own_kernel
        point kernel "own-kernel-$OWN_KERNEL_KEY"
        ;;
      *) die "unknown part $part; there are qemu, kernel, initramfs, disks, headers, debian-kernel and build-kernel" ;;
    esac
  done
}

if [ "${1:-}" = --env ]; then
  printf 'export VFIO_CACHE=%q\n' "$VFIO_CACHE"
  printf 'export VFIO_QEMU=%q\n' "$VFIO_CACHE/qemu/bin/qemu-system-x86_64"
  printf 'export VFIO_UAPI_HEADERS=%q\n' "$VFIO_CACHE/headers/usr/include"
  exit 0
fi

mkdir -p "$VFIO_CACHE"
if [ "${1:-}" = --make ]; then
  "$2" "$3"
  exit 0
fi

[ $# -gt 0 ] || set -- qemu kernel initramfs disks headers debian-kernel
setup "$@"
