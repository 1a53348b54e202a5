# Is the line for cron as the parameters say?
LINE="0 $PHOENIX_HOUR $PHOENIX_DAY * * root /usr/sbin/zpool scrub $PHOENIX_POOL"
grep -qsxF "$LINE" /etc/cron.d/scrub && exit 0
echo "no line: $LINE"
exit 1
