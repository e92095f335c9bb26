# The guest's kernel: our own (everything built in, with iommufd), or Debian's. Sourced by setup.sh.
# shellcheck shell=bash

# Our own kernel as it was built once: version, and the checksum of the compressed image.
OWN_KERNEL_RELEASE=7.3.4-pcitest
OWN_KERNEL_SHA256=4e1f005af6ec44511521396f020cbcd7006e36c7490e5292c3612de6c2ef1ccd
OWN_KERNEL_KEY=7.3-$(sha256sum <"$VFIO_ROOT/eng/guest/kernel.config" | cut -c 1-12)

# kernel -> the best that can be had here: the prebuilt image, one we built, a build now, Debian's.
setup_kernel() {
  local image
  image=$(prebuilt_image)
  if [ -e "$VFIO_CACHE/prebuilt-kernel-$OWN_KERNEL_RELEASE" ] || [ -n "$image" ]; then
    part prebuilt-kernel "$OWN_KERNEL_RELEASE" unpack_prebuilt_kernel
    point kernel "prebuilt-kernel-$OWN_KERNEL_RELEASE"
  elif [ -e "$VFIO_CACHE/own-kernel-$OWN_KERNEL_KEY" ]; then
    point kernel "own-kernel-$OWN_KERNEL_KEY"
  elif [ "${VFIO_KERNEL_BUILD_MINUTES:-15}" -gt 0 ] && part own-kernel "$OWN_KERNEL_KEY" build_own_kernel; then
    point kernel "own-kernel-$OWN_KERNEL_KEY"
  else
    note "our own guest kernel is not to be had here; Debian's 6.12 takes its place. It has no iommufd and no VFIO"
    note "cdev: tests that need them will fail. To build ours: eng/guest/setup.sh build-kernel"
    setup debian-kernel
    point kernel "debian-kernel-$DEBIAN_KERNEL_KEY"
  fi
}

# The path of a prebuilt image with the right checksum, or nothing.
prebuilt_image() {
  local candidate
  [ ! -e "$VFIO_CACHE/prebuilt-kernel-$OWN_KERNEL_RELEASE" ] || return 0
  for candidate in "${VFIO_KERNEL_IMAGE:-}" "$VFIO_ROOT/../shared/vm/vmlinux-$OWN_KERNEL_RELEASE.zst"; do
    [ -r "$candidate" ] || continue
    if [ "$(sha256sum <"$candidate" | cut -d ' ' -f 1)" = "$OWN_KERNEL_SHA256" ]; then
      printf '%s\n' "$candidate"
      return 0
    fi
    note "$candidate is not the image this project knows (its checksum differs); it is not used"
  done
}

unpack_prebuilt_kernel() {
  local image
  image=$(prebuilt_image)
  [ -n "$image" ] || die "the prebuilt kernel image has gone"
  need zstd zstd
  zstd -dqc "$image" >"$1/vmlinux"
  : >"$1/modules.cpio"
  echo "$OWN_KERNEL_RELEASE" >"$1/release"
  echo own >"$1/kind"
}

# build_own_kernel FOLDER: Debian's 7.3 sources with our configuration. What was built stays for the next try.
build_own_kernel() {
  local folder=$1 work=$VFIO_CACHE/kernel-build package tree out limit
  limit=${VFIO_KERNEL_BUILD_MINUTES:-15}
  out=$work/$OWN_KERNEL_KEY
  need make make
  need flex flex
  need bison bison
  need bc bc
  need xz xz-utils
  [ -e /usr/include/libelf.h ] || install_packages libelf-dev
  mkdir -p "$out"
  tree=$(echo "$work"/source/linux-source-*/)
  if [ ! -e "$work/source/complete" ]; then
    rm -rf "$work/source" "$work/packages"
    package=$(with_apt package_of trixie-backports linux-source '^linux-source-[0-9]')
    note "downloading $package (170 MB)"
    with_apt fetch_packages trixie-backports "$work/packages" "$package"
    mkdir "$work/source"
    # The bulk that a PC's kernel never compiles stays packed.
    tar -C "$work/source" -xJf "$work/packages/usr/src/$package.tar.xz" --exclude='*.rst' --exclude='*.dts' \
      --exclude='*.dtsi' --exclude='*/drivers/gpu/drm/amd/include/*'
    rm -rf "$work/packages"
    : >"$work/source/complete"
    tree=$(echo "$work"/source/linux-source-*/)
  fi
  note "building $(basename "$tree"), at most $limit minutes; log in $out/build.log"
  # shellcheck disable=SC2016  # expanded by the inner shell
  if ! timeout "${limit}m" bash -c '
    set -e
    make -s -C "$1" O="$2" tinyconfig
    cat "$3" >>"$2/.config"
    make -s -C "$1" O="$2" olddefconfig
    make -s -C "$1" O="$2" -j"$(nproc)" vmlinux' build "$tree" "$out" "$VFIO_ROOT/eng/guest/kernel.config" \
    >"$out/build.log" 2>&1; then
    tail -n 5 "$out/build.log" >&2
    note "the kernel was not finished; the next eng/guest/setup.sh build-kernel goes on from there"
    return 1
  fi
  # An option that another one rules out vanishes without a word: say which.
  grep '=y$' "$VFIO_ROOT/eng/guest/kernel.config" | grep -vxFf "$out/.config" >&2 &&
    note "(the options above did not take)"
  strip -o "$folder/vmlinux" "$out/vmlinux"
  : >"$folder/modules.cpio"
  cat "$out/include/config/kernel.release" >"$folder/release"
  echo own >"$folder/kind"
  rm -rf "$work"
}

# What Debian's kernel is made from: its release, and a number that is raised when the lists below change.
DEBIAN_KERNEL_KEY=6.12-r2

# Modules of Debian's kernel that the guest loads at start: drivers for what the tests serve, and VFIO itself.
DEBIAN_MODULES="nvme virtio_blk vfio_pci vfio_iommu_type1 gpio_pci_idio_16"

# Drivers that our own kernel has not: in the archive, and loaded when a guest is to have them. drivers/NAME lists what one needs, in load order.
DEBIAN_DRIVERS="igb igbvf ioatdma idxd"

make_debian_kernel() {
  local folder=$1 package release
  setup initramfs
  package=$(with_apt package_of trixie linux-image-amd64 '^linux-image-[0-9]')
  with_apt fetch_packages trixie "$folder/packages" "$package"
  release=${package#linux-image-}
  unpack_vmlinuz "$folder/packages/boot/vmlinuz-$release" "$folder/vmlinux"
  pack_modules "$folder/packages/usr/lib/modules/$release" "$folder/tree" "$folder/drivers"
  (cd "$folder/tree" && find . | sort | "$VFIO_CACHE/initramfs/busybox" cpio -o -H newc -R 0:0 2>/dev/null) >"$folder/modules.cpio"
  rm -rf "$folder/packages" "$folder/tree"
  echo "$release" >"$folder/release"
  echo debian >"$folder/kind"
}

# unpack_vmlinuz IMAGE OUT: the ELF kernel inside a bzImage (QEMU starts it by PVH, which saves seconds).
unpack_vmlinuz() {
  local image=$1 out=$2 sectors offset length
  need zstd zstd
  # Documentation/arch/x86/boot.rst: setup_sects at 0x1f1, payload_offset and payload_length at 0x248.
  sectors=$(od -An -tu1 -j 497 -N 1 "$image" | tr -d ' ')
  [ "$sectors" -ne 0 ] || sectors=4
  read -r offset length < <(od -An -tu4 -j 584 -N 8 "$image")
  # The last four bytes of the payload are the size of what it unpacks to.
  dd if="$image" bs=1M iflag=skip_bytes,count_bytes skip=$(((sectors + 1) * 512 + offset)) count=$((length - 4)) \
    status=none | zstd -dqc >"$out"
  [ "$(od -An -tx1 -N 4 "$out" | tr -d ' ')" = 7f454c46 ] || die "$image has no ELF kernel packed with zstd"
}

# pack_modules SOURCE TREE DRIVERS: the modules above and what they depend on, uncompressed, listed in load order.
pack_modules() {
  local source=$1 tree=$2 drivers=$3 module
  declare -gA PACKED=()
  BUILTIN=$(sed 's,.*/,,; s/\.ko.*//; s/-/_/g' "$source/modules.builtin" | tr '\n' ' ')
  mkdir -p "$tree/lib/modules" "$drivers"
  : >"$tree/modules.load"
  for module in $DEBIAN_MODULES; do
    pack_module "$module" "$source" "$tree" "$tree/modules.load"
  done
  for module in $DEBIAN_DRIVERS; do
    PACKED=()
    pack_module "$module" "$source" "$tree" "$drivers/$module"
  done
}

pack_module() {
  local name=${1//-/_} source=$2 tree=$3 list=$4 file target dependency
  [ -z "${PACKED[$name]:-}" ] || return 0
  PACKED[$name]=1
  case " $BUILTIN " in *" $name "*) return 0 ;; esac
  file=$(find "$source/kernel" -name "${name//_/[-_]}.ko*" -print -quit)
  [ -n "$file" ] || die "Debian's kernel has no module $name"
  target=$tree/lib/modules/$name.ko
  case $file in
    *.xz) "$VFIO_CACHE/initramfs/busybox" xzcat "$file" >"$target" ;;
    *) cp "$file" "$target" ;;
  esac
  for dependency in $(tr '\0' '\n' <"$target" | sed -n 's/^depends=//p' | tr , ' '); do
    pack_module "$dependency" "$source" "$tree" "$list"
  done
  echo "$name" >>"$list"
}
