echo "0 $PHOENIX_HOUR $PHOENIX_DAY * * root /usr/sbin/zpool scrub $PHOENIX_POOL" > /etc/cron.d/scrub
