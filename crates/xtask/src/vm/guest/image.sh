#!/bin/sh
# Makes the root of a small Debian 13 at $1, from the archive at $2. Runs as root, in a mount namespace of its own.
set -eu
root=$1 archive=$2

debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,udev,rsyslog,systemd-oomd,procps,kmod,sudo \
    trixie "$root" "$archive"

mount -t proc proc "$root/proc"
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -qq install --yes --no-install-recommends \
    linux-image-cloud-amd64 initramfs-tools zabbix-agent2 apache2 php-fpm
rm "$root/usr/sbin/policy-rc.d"
chroot "$root" apt-get clean
umount "$root/proc"

echo oomwatch-vm > "$root/etc/hostname"
echo '127.0.0.1 localhost oomwatch-vm' > "$root/etc/hosts"
cat > "$root/etc/fstab" <<'END'
/dev/vda / ext4 defaults 0 1
LABEL=oomwatch /oomwatch ext4 ro 0 0
END
mkdir "$root/oomwatch"

# Runs the commands that cargo xtask vm sends. The OOM killer must not end it.
cat > "$root/etc/systemd/system/session.service" <<'END'
[Unit]
RequiresMountsFor=/oomwatch
[Service]
ExecStart=/oomwatch/session.sh
OOMScoreAdjust=-1000
OOMPolicy=continue
Restart=always
END
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../session.service "$root/etc/systemd/system/multi-user.target.wants/session.service"

# What a machine in use does by the way, and what takes long in emulation.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer man-db.timer logrotate.timer getty@tty1.service serial-getty@ttyS0.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
