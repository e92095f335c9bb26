# The guest for work with disks: Debian's cloud kernel, which has NVMe, ext4 and the EFI stub built in, tools for file
# systems, NVMe and load, and a disk that firmware boots. Sourced by setup.sh.
# shellcheck shell=bash

# What the guest has of each package, in /bin; libraries are found from there.
DISK_TOOLS="usr/sbin/mke2fs usr/sbin/e2fsck usr/sbin/tune2fs usr/sbin/dumpe2fs usr/sbin/nvme usr/bin/fio"

make_disks() {
  local folder=$1 package release
  setup initramfs
  package=$(with_apt package_of trixie linux-image-cloud-amd64 '^linux-image-[0-9]')
  with_apt fetch_packages trixie "$folder/kernel" "$package"
  with_apt fetch_closure trixie "$folder/root" e2fsprogs nvme-cli fio dosfstools
  with_apt fetch_packages trixie "$folder/boot" ovmf syslinux syslinux-common systemd-boot-efi mtools
  release=${package#linux-image-}
  mv "$folder/kernel/boot/vmlinuz-$release" "$folder/vmlinuz"
  unpack_vmlinuz "$folder/vmlinuz" "$folder/vmlinux"
  mv "$folder/boot/usr/share/ovmf/OVMF.fd" "$folder/OVMF.fd"
  pack_disk_tools "$folder/root" "$folder/tree" "$folder/tools.cpio"
  make_boot_disk "$folder" "$folder/boot.img"
  cat "$folder"/{kernel,root,boot}/packages.txt >"$folder/packages.txt"
  rm -rf "$folder"/{kernel,root,boot,tree,esp.img,vmlinuz}
  echo "$release" >"$folder/release"
}

# in_packages ROOT PROGRAM ARGS...: a program of the unpacked packages, with their loader and libraries.
in_packages() {
  local root=$1 program=$2
  shift 2
  "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu/ceph" \
    "$program" "$@"
}

# pack_disk_tools ROOT TREE OUT: the tools and the libraries that they are linked with, as an archive.
pack_disk_tools() {
  local root=$1 tree=$2 out=$3 tool library
  mkdir -p "$tree"/{bin,etc,lib64,lib/x86_64-linux-gnu}
  for tool in $DISK_TOOLS; do
    install -m 755 "$root/$tool" "$tree/bin/"
    in_packages "$root" --list "$root/$tool" | awk '$2 == "=>" { print $3 }' | while read -r library; do
      # Files, not links, under the name that programs ask for.
      [ "$(basename "$library")" = ld-linux-x86-64.so.2 ] || cp -L "$library" "$tree/lib/x86_64-linux-gnu/"
    done
  done
  cp -L "$root/usr/lib64/ld-linux-x86-64.so.2" "$tree/lib64/"
  ln -s mke2fs "$tree/bin/mkfs.ext4"
  ln -s e2fsck "$tree/bin/fsck.ext4"
  cp "$root/etc/mke2fs.conf" "$tree/etc/"
  (cd "$tree" && find . | sort | "$VFIO_CACHE/initramfs/busybox" cpio -o -H newc -R 0:0 2>/dev/null) >"$out"
}

# make_boot_disk FOLDER OUT: a disk for BIOS and UEFI alike. The first partition (FAT) has the kernel, syslinux and
# systemd-boot, the second (ext4) is the root file system: the guest's own, without an initramfs.
make_boot_disk() {
  local folder=$1 out=$2 esp=$1/esp.img tree=$1/tree.root arguments from
  arguments="root=PARTUUID=5646494f-02 rw rootwait init=/init console=ttyS0 quiet panic=-1 nokaslr mitigations=off"
  arguments+=" cryptomgr.notests tsc=reliable no_timer_check random.trust_cpu=on vfio.agent"

  truncate -s 24M "$esp"
  in_packages "$folder/root" "$folder/root/usr/sbin/mkfs.fat" -F 16 -h 2048 -n BOOT "$esp" >&2
  printf 'DEFAULT linux\nPROMPT 0\nLABEL linux\n  LINUX /vmlinuz\n  APPEND %s\n' "$arguments" >"$folder/syslinux.cfg"
  printf 'timeout 0\n' >"$folder/loader.conf"
  printf 'title Linux\nlinux /vmlinuz\noptions %s\n' "$arguments" >"$folder/linux.conf"
  mtools mmd ::/EFI ::/EFI/BOOT ::/loader ::/loader/entries
  mtools mcopy "$folder/boot/usr/lib/systemd/boot/efi/systemd-bootx64.efi" ::/EFI/BOOT/BOOTX64.EFI
  mtools mcopy "$folder/loader.conf" ::/loader/loader.conf
  mtools mcopy "$folder/linux.conf" ::/loader/entries/linux.conf
  mtools mcopy "$folder/vmlinuz" ::/vmlinuz
  mtools mcopy "$folder/syslinux.cfg" ::/syslinux.cfg
  # It runs mcopy and mattrib by their names.
  for from in mcopy mattrib; do
    printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" -c %s "$@"\n' "$folder/root/usr/lib64/ld-linux-x86-64.so.2" \
      "$folder/root/usr/lib/x86_64-linux-gnu" "$folder/boot/usr/bin/mtools" "$from" >"$folder/boot/$from"
    chmod 755 "$folder/boot/$from"
  done
  PATH=$folder/boot:$PATH in_packages "$folder/root" "$folder/boot/usr/bin/syslinux" --install "$esp" >&2

  mkdir -p "$tree"
  (cd "$tree" && "$VFIO_CACHE/initramfs/busybox" cpio -i -d 2>/dev/null <"$VFIO_CACHE/initramfs/base.cpio")
  rm -rf "$tree/dev"
  mkdir "$tree/dev"
  truncate -s 64M "$out"
  in_packages "$folder/root" "$folder/root/usr/sbin/mke2fs" -q -t ext4 -d "$tree" -E offset=$((51200 * 512)),root_owner=0:0 \
    -U clear "$out" 38m >&2

  # The boot record: 440 bytes of code, the disk's signature, two entries: FAT from block 2048, Linux from block 51200.
  dd if="$folder/boot/usr/lib/SYSLINUX/mbr.bin" of="$out" bs=440 count=1 conv=notrunc status=none
  printf 'OIFV\0\0' | dd of="$out" bs=1 seek=440 conv=notrunc status=none
  {
    printf '\200\376\377\377\357\376\377\377\0\010\0\0\0\300\0\0'
    printf '\0\376\377\377\203\376\377\377\0\310\0\0\0\060\001\0'
  } | dd of="$out" bs=1 seek=446 conv=notrunc status=none
  printf '\125\252' | dd of="$out" bs=1 seek=510 conv=notrunc status=none
  dd if="$esp" of="$out" bs=1M seek=1 conv=notrunc,sparse status=none
  rm -rf "$tree" "$folder"/{syslinux.cfg,loader.conf,linux.conf}
}

# mtools COMMAND ARGS...: on the FAT image of make_boot_disk, whose variables it sees.
mtools() {
  local command=$1
  shift
  in_packages "$folder/root" "$folder/boot/usr/bin/mtools" -c "$command" -i "$esp" "$@" >&2
}
