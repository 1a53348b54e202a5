package realhost

// layCards gives a host NVIDIA cards without a driver in the kernel below. The nodes are
// real character devices of the driver's numbers; opening one says that there is no such
// device (ENXIO), or where the control group forbids it, that it is not permitted
// (EPERM). What the driver would show in proc and sysfs lies over the kernel's own: the
// proc must be a real one, without which no Go program finds its own file.
const layCards = `
[ -n "$WIRE" ] || mount -t proc proc proc
mount -t tmpfs -o mode=0755 tmpfs proc/driver
cp -a "$CARDS/proc/driver/." proc/driver/
mount --bind "$CARDS/proc/devices" proc/devices
for d in sys/bus/pci/devices sys/module; do
  mkdir -p "$d"
  mount -t tmpfs -o mode=0755 tmpfs "$d"
done
cp -a "$CARDS/sys/." sys/
# With real containers, one proc and one sysfs stay as they are: the kernel mounts none for
# an unprivileged container where all are covered in part.
if [ -n "$TEMPLATE" ]; then
  mkdir -p dev/.kernel/proc dev/.kernel/sys
  mount -t proc proc dev/.kernel/proc
  mount -t sysfs sysfs dev/.kernel/sys
fi
libraries=usr/lib/$(uname -m)-linux-gnu
rm -f "$libraries"/libnvidia-ml.so*
cp -a "$CARDS/lib/." "$libraries/"
cp -a "$CARDS/etc/." etc/
rm -rf dev/nvidia* usr/local/sbin/nvidia-smi # that of the simulated driver
while read -r file major minor mode; do
  mkdir -p "dev/$(dirname "$file")"
  mknod -m "$mode" "dev/$file" c "$major" "$minor"
done < "$CARDS/nodes"
`
