# Makes the root directory $1 of a freshly installed Debian boot into the tests: an ordinary user
# whose systemd runs without a login, and a unit that runs /payload/run and turns the machine off.
set -eu
root=$1
chroot "$root" useradd --create-home --user-group --shell /bin/sh --uid 1000 stockade-test
mkdir -p "$root/payload" "$root/var/lib/systemd/linger"
touch "$root/var/lib/systemd/linger/stockade-test"
cat > "$root/etc/fstab" <<'END'
/dev/vda / ext4 rw 0 0
/dev/vdb /payload ext4 ro 0 0
END
units=$root/etc/systemd/system
cat > "$units/stockade-tests.service" <<'END'
[Unit]
RequiresMountsFor=/payload
Wants=user@1000.service
After=user@1000.service systemd-logind.service
[Service]
Type=oneshot
ExecStart=/bin/sh /payload/run
ExecStopPost=/bin/systemctl --no-block poweroff
# The tests' positive controls run out of memory, too.
OOMPolicy=continue
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS1
[Install]
WantedBy=multi-user.target
END
mkdir -p "$units/multi-user.target.wants"
ln -s ../stockade-tests.service "$units/multi-user.target.wants/"
