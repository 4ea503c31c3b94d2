complete -c rivulet-sentinel -l port -d 'TCP port; 0 listens on none.' -r
complete -c rivulet-sentinel -l bind -d 'Addresses to listen on; one with a leading - may be missing, * is all of IPv4, ::* all of IPv6.' -r
complete -c rivulet-sentinel -l bind-source-addr -d 'Address that connections to a master leave from.' -r
complete -c rivulet-sentinel -l unixsocket -d 'Path of a Unix socket to listen on.' -r
complete -c rivulet-sentinel -l unixsocketperm -d 'Permissions of the Unix socket, octal; 0 leaves them to the umask.' -r
complete -c rivulet-sentinel -l tcp-backlog -d 'Connections that may wait to be accepted.' -r
complete -c rivulet-sentinel -l tcp-keepalive -d 'Seconds between probes of silent connections; 0 sends none.' -r
complete -c rivulet-sentinel -l timeout -d 'Seconds after which an idle client is closed; 0 is never.' -r
complete -c rivulet-sentinel -l maxclients -d 'Clients that may be connected at once.' -r
complete -c rivulet-sentinel -l protected-mode -d 'Without a password, serve local clients only.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l client-output-buffer-limit -d 'Per class (normal, replica, pubsub): hard limit, soft limit and the seconds that the soft one may be passed; 0 is no limit.' -r
complete -c rivulet-sentinel -l client-query-buffer-limit -d 'Bytes that a client may send without completing a command.' -r
complete -c rivulet-sentinel -l proto-max-bulk-len -d 'Length of the longest argument, and of the longest string.' -r
complete -c rivulet-sentinel -l http-port -d 'Port of the page that shows the replication, and of what is for monitoring (docs/page.md); 0 is none.' -r
complete -c rivulet-sentinel -l http-bind -d 'Addresses of the page, between blanks. To look at it needs no password.' -r
complete -c rivulet-sentinel -l http-ready-max-lag-bytes -d '/readyz says no for a replica that is further behind; 0 is no bound.' -r
complete -c rivulet-sentinel -l http-ready-max-lag-seconds -d 'The same in seconds.' -r
complete -c rivulet-sentinel -l daemonize -d 'Run in the background.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l supervised -d 'Who supervises the process, and is told when it is ready: systemd over the socket that NOTIFY_SOCKET names.' -r -f -a "upstart\t''
systemd\t''
auto\t''
no\t''"
complete -c rivulet-sentinel -l pidfile -d 'File that holds the process id; in the background it is /var/run/redis.pid if not set.' -r -F
complete -c rivulet-sentinel -l loglevel -d 'Least level of lines that are logged.' -r
complete -c rivulet-sentinel -l logfile -d 'The log\'s file; empty is standard output.' -r -F
complete -c rivulet-sentinel -l log-format -d 'Form of the log\'s lines; logfmt is pairs of names and values, json an object a line.' -r
complete -c rivulet-sentinel -l log-timestamp-format -d 'Form of the time in the log\'s lines.' -r
complete -c rivulet-sentinel -l syslog-enabled -d 'Log to the system\'s log, too (/dev/log).' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l syslog-ident -d 'Name in the system\'s log.' -r
complete -c rivulet-sentinel -l syslog-facility -d 'Facility in the system\'s log.' -r -f -a "user\t''
local0\t''
local1\t''
local2\t''
local3\t''
local4\t''
local5\t''
local6\t''
local7\t''"
complete -c rivulet-sentinel -l databases -d 'Number of databases.' -r
complete -c rivulet-sentinel -l always-show-logo -d 'Write the banner also when the log is not a terminal.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l set-proc-title -d 'Show the server\'s addresses in the list of processes.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l proc-title-template -d 'What the list of processes shows.' -r
complete -c rivulet-sentinel -l hz -d 'Runs of the periodic tasks per second, from 1 to 500.' -r
complete -c rivulet-sentinel -l dynamic-hz -d 'With many clients, run the periodic tasks more often.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l enable-protected-configs -d 'Who may change protected directives with CONFIG SET.' -r -f -a "no\t''
yes\t''
local\t''"
complete -c rivulet-sentinel -l enable-debug-command -d 'Who may use DEBUG.' -r -f -a "no\t''
yes\t''
local\t''"
complete -c rivulet-sentinel -l enable-module-command -d 'Who may use MODULE.' -r -f -a "no\t''
yes\t''
local\t''"
complete -c rivulet-sentinel -l crash-log-enabled -d 'Log a report when the process crashes.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l oom-score-adj -d 'Tell the kernel which process to kill first when memory runs out.' -r
complete -c rivulet-sentinel -l oom-score-adj-values -d 'The scores for master, replica and background work.' -r
complete -c rivulet-sentinel -l requirepass -d 'Password of the default user; empty is none.' -r
complete -c rivulet-sentinel -l aclfile -d 'File of the users.' -r -F
complete -c rivulet-sentinel -l acl-pubsub-default -d 'Channels that a new user may use.' -r -f -a "allchannels\t''
resetchannels\t''"
complete -c rivulet-sentinel -l acllog-max-len -d 'Entries of ACL LOG.' -r
complete -c rivulet-sentinel -l save -d 'Save a snapshot after so many seconds if there were so many changes; several pairs; "" is never.' -r
complete -c rivulet-sentinel -l dir -d 'Directory of all files; the process runs in it.' -r -f -a "(__fish_complete_directories)"
complete -c rivulet-sentinel -l dbfilename -d 'Name of the snapshot.' -r
complete -c rivulet-sentinel -l rdbcompression -d 'Compress strings in snapshots.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l rdbchecksum -d 'Snapshots end with a checksum, and it is checked.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l rdb-del-sync-files -d 'Without other persistence, remove the files of full syncs.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l stop-writes-on-bgsave-error -d 'Refuse writes after a snapshot failed.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l sanitize-dump-payload -d 'Check every byte of values that are loaded or restored.' -r -f -a "no\t''
yes\t''
clients\t''"
complete -c rivulet-sentinel -l replicaof -d 'Host and port of the master; no one is none.' -r
complete -c rivulet-sentinel -l masteruser -d 'User to log in to the master as.' -r
complete -c rivulet-sentinel -l masterauth -d 'Password for the master.' -r
complete -c rivulet-sentinel -l replica-announce-ip -d 'Address that the master is told.' -r
complete -c rivulet-sentinel -l replica-announce-port -d 'Port that the master is told; 0 is the one listened on.' -r
complete -c rivulet-sentinel -l replica-announced -d 'Sentinel shows this replica to clients.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l replica-priority -d 'Lower is promoted sooner; 0 is never.' -r
complete -c rivulet-sentinel -l replica-serve-stale-data -d 'Serve reads while the link to the master is down or syncs.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l replica-read-only -d 'A replica refuses writes.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l replica-ignore-maxmemory -d 'A replica leaves eviction to its master.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l replica-ignore-disk-write-errors -d 'A replica goes on when it can\'t write to disk.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l replica-lazy-flush -d 'Free the old data in the background when a full sync replaces it.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l repl-diskless-sync -d 'Send snapshots to replicas without a file.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l repl-diskless-sync-delay -d 'Seconds to wait for more replicas before a snapshot starts. While it is not set, nobody waits: replicas that come a little later join.' -r
complete -c rivulet-sentinel -l repl-diskless-sync-max-replicas -d 'Replicas for which the wait ends early; 0 is no number.' -r
complete -c rivulet-sentinel -l repl-diskless-load -d 'Load what the master sends while it arrives.' -r
complete -c rivulet-sentinel -l dual-channel-replication-enabled -d 'Full syncs over two connections as Valkey does them: the snapshot on its own, the stream beside it. Both ends must say so, and the master must not store snapshots first.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l repl-rdb-channel -d 'The same, as Redis 8 does it.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l replica-full-sync-buffer-limit -d 'Bytes of the stream that a replica keeps during a full sync, before it leaves the rest to the master; 0 is the hard limit of client-output-buffer-limit replica.' -r
complete -c rivulet-sentinel -l repl-ping-replica-period -d 'Seconds between the master\'s pings.' -r
complete -c rivulet-sentinel -l repl-timeout -d 'Seconds of silence after which a link is dropped; take 5 to 10 times the ping period.' -r
complete -c rivulet-sentinel -l repl-disable-tcp-nodelay -d 'Let the kernel gather small packets for replicas.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l repl-require-data -d 'A replica keeps its data when the master that it had them from comes back without any; no makes it as empty as its master.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l repl-backlog-size -d 'Bytes of the stream that are kept for replicas that come back; auto takes twice what is written while a replica is away, as measured, from 1 MiB to 256 MiB.' -r
complete -c rivulet-sentinel -l snapshot-queue-limit -d 'Bytes of a snapshot that are captured and not yet written or sent; the walker waits beyond that.' -r
complete -c rivulet-sentinel -l snapshot-limbo-limit -d 'A snapshot fails, and is tried again, when so many bytes wait to be written because writes overtake it.' -r
complete -c rivulet-sentinel -l log-queue-limit -d 'Writes wait while so many bytes wait to be written to the append-only file.' -r
complete -c rivulet-sentinel -l repl-sync-window -d 'Bytes of a snapshot without a file that wait in memory for slow replicas, at least snapshot-queue-limit; more wait on disk.' -r
complete -c rivulet-sentinel -l repl-hold-limit -d 'Bytes that may be held for slow replicas, all together: of the stream beyond the backlog, and of full syncs on disk. Beyond that, or when the disk is full, the slowest is cut off. 0 is what the data take in memory, at least the hard limit of client-output-buffer-limit replica.' -r
complete -c rivulet-sentinel -l repl-backlog-disk-size -d 'Bytes of the stream that are kept on disk behind the backlog in memory; 0 keeps none.' -r
complete -c rivulet-sentinel -l repl-backlog-ttl -d 'Seconds without replicas after which the backlog is freed; 0 is never.' -r
complete -c rivulet-sentinel -l min-replicas-to-write -d 'Good replicas that a write needs; 0 is off.' -r
complete -c rivulet-sentinel -l min-replicas-max-lag -d 'Seconds since its last acknowledgement for which a replica is good; 0 turns the check off.' -r
complete -c rivulet-sentinel -l synchronous-replicas -d 'Replicas that must have acknowledged a write before its reply leaves; 0 is off.' -r
complete -c rivulet-sentinel -l synchronous-commit -d 'What such a replica has done with it: received, applied, or fsynced to its append-only files.' -r
complete -c rivulet-sentinel -l synchronous-timeout -d 'Milliseconds after which the reply is -UNSYNCED instead; 0 waits.' -r
complete -c rivulet-sentinel -l synchronous-reads -d 'Replies to reads wait, too, for what was written and to hear who is the master.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l propagation-error-behavior -d 'What to do when a command of the master fails here: fetch the data again where that can help (resync), say so and go on (ignore), or end (panic, panic-on-replicas).' -r
complete -c rivulet-sentinel -l shutdown-timeout -d 'Seconds that a shutdown waits for replicas.' -r
complete -c rivulet-sentinel -l shutdown-on-sigint -d 'How SIGINT shuts down: default, save, nosave, now, force.' -r
complete -c rivulet-sentinel -l shutdown-on-sigterm -d 'How SIGTERM shuts down: default, save, nosave, now, force.' -r
complete -c rivulet-sentinel -l maxmemory -d 'Bytes of memory to use at most; 0 is no limit.' -r
complete -c rivulet-sentinel -l maxmemory-policy -d 'What is evicted when the limit is reached.' -r
complete -c rivulet-sentinel -l maxmemory-samples -d 'Keys that are compared to find one to evict.' -r
complete -c rivulet-sentinel -l maxmemory-eviction-tenacity -d 'How long a command may wait for evictions, from 0 to 100.' -r
complete -c rivulet-sentinel -l maxmemory-clients -d 'Memory of all clients together, in bytes or as a part of maxmemory; 0 is no limit.' -r
complete -c rivulet-sentinel -l lfu-log-factor -d 'How slowly the counter of accesses grows.' -r
complete -c rivulet-sentinel -l lfu-decay-time -d 'Minutes after which the counter of accesses falls by one.' -r
complete -c rivulet-sentinel -l lazyfree-lazy-eviction -d 'Free evicted values in the background.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l lazyfree-lazy-expire -d 'Free expired values in the background.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l lazyfree-lazy-server-del -d 'Free values that are overwritten in the background.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l lazyfree-lazy-user-del -d 'DEL frees in the background, as UNLINK does.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l lazyfree-lazy-user-flush -d 'FLUSHALL and the like free in the background unless told otherwise.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l active-expire-effort -d 'How much is done to find expired keys, from 1 to 10.' -r
complete -c rivulet-sentinel -l jemalloc-bg-thread -d 'The allocator returns memory in a thread of its own, also while nothing happens.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l activedefrag -d 'Move values to leave fewer holes in memory; here it can\'t be turned on.' -r
complete -c rivulet-sentinel -l list-max-listpack-size -d 'Elements of a list\'s chunk, or -1 to -5 for 4 to 64 KiB.' -r
complete -c rivulet-sentinel -l hash-max-listpack-entries -d 'Fields up to which a hash is packed.' -r
complete -c rivulet-sentinel -l hash-max-listpack-value -d 'Bytes of an element up to which a hash is packed.' -r
complete -c rivulet-sentinel -l set-max-listpack-entries -d 'Members up to which a set is packed.' -r
complete -c rivulet-sentinel -l set-max-listpack-value -d 'Bytes of a member up to which a set is packed.' -r
complete -c rivulet-sentinel -l set-max-intset-entries -d 'Members up to which a set of integers is packed.' -r
complete -c rivulet-sentinel -l zset-max-listpack-entries -d 'Members up to which a sorted set is packed.' -r
complete -c rivulet-sentinel -l zset-max-listpack-value -d 'Bytes of a member up to which a sorted set is packed.' -r
complete -c rivulet-sentinel -l stream-node-max-bytes -d 'Bytes of a stream\'s node; 0 is no limit.' -r
complete -c rivulet-sentinel -l stream-node-max-entries -d 'Entries of a stream\'s node; 0 is no limit.' -r
complete -c rivulet-sentinel -l hll-sparse-max-bytes -d 'Bytes up to which a HyperLogLog is sparse.' -r
complete -c rivulet-sentinel -l slowlog-log-slower-than -d 'Microseconds from which a command is in the slow log; -1 is off.' -r
complete -c rivulet-sentinel -l slowlog-max-len -d 'Entries of the slow log.' -r
complete -c rivulet-sentinel -l commandlog-request-larger-than -d 'Bytes from which a command\'s request is in the log of large ones (Valkey 9); -1 is off.' -r
complete -c rivulet-sentinel -l commandlog-large-request-max-len -d 'Entries of the log of large requests.' -r
complete -c rivulet-sentinel -l commandlog-reply-larger-than -d 'Bytes from which a command\'s reply is in the log of large ones (Valkey 9); -1 is off.' -r
complete -c rivulet-sentinel -l commandlog-large-reply-max-len -d 'Entries of the log of large replies.' -r
complete -c rivulet-sentinel -l latency-monitor-threshold -d 'Milliseconds from which an event is in LATENCY; 0 is off.' -r
complete -c rivulet-sentinel -l latency-tracking -d 'Keep a histogram of each command\'s time.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l latency-tracking-info-percentiles -d 'Percentiles that INFO latencystats shows.' -r
complete -c rivulet-sentinel -l notify-keyspace-events -d 'Classes of events that are published.' -r
complete -c rivulet-sentinel -l tracking-table-max-keys -d 'Keys that are remembered for clients that cache; 0 is no limit.' -r
complete -c rivulet-sentinel -l busy-reply-threshold -d 'Milliseconds after which a script lets other clients be answered with BUSY.' -r
complete -c rivulet-sentinel -l appendonly -d 'Log every write to disk.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l appendfilename -d 'First part of the names of the append-only file\'s parts.' -r
complete -c rivulet-sentinel -l appenddirname -d 'Directory of the append-only file.' -r
complete -c rivulet-sentinel -l appendfsync -d 'When the append-only file is synced to disk.' -r
complete -c rivulet-sentinel -l no-appendfsync-on-rewrite -d 'Don\'t sync to disk during a rewrite.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l auto-aof-rewrite-percentage -d 'Growth at which the append-only file is rewritten; 0 is never.' -r
complete -c rivulet-sentinel -l auto-aof-rewrite-min-size -d 'Bytes below which it is not rewritten.' -r
complete -c rivulet-sentinel -l aof-load-truncated -d 'Load an append-only file whose end is cut.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l aof-use-rdb-preamble -d 'A rewrite writes a snapshot.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l aof-timestamp-enabled -d 'Note the time in the append-only file.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l aof-disable-auto-gc -d 'Keep old parts of the append-only file.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l tls-port -d 'Port for TLS, which needs a certificate and its key; 0 listens on none.' -r
complete -c rivulet-sentinel -l tls-cert-file -d 'The server\'s certificate, and those between it and the authority, in PEM. It is read again whenever this is set.' -r -F
complete -c rivulet-sentinel -l tls-key-file -d 'The certificate\'s key in PEM: PKCS #8, also encrypted, or the older forms without encryption.' -r -F
complete -c rivulet-sentinel -l tls-key-file-pass -d 'Password of the key.' -r
complete -c rivulet-sentinel -l tls-client-cert-file -d 'Certificate for connections to other servers; without it and its key that of tls-cert-file is shown.' -r -F
complete -c rivulet-sentinel -l tls-client-key-file -d 'That certificate\'s key.' -r -F
complete -c rivulet-sentinel -l tls-client-key-file-pass -d 'Password of that key.' -r
complete -c rivulet-sentinel -l tls-ca-cert-file -d 'Certificates of the authorities that are trusted.' -r -F
complete -c rivulet-sentinel -l tls-ca-cert-dir -d 'Directory of such certificates: all files that hold any.' -r
complete -c rivulet-sentinel -l tls-auth-clients -d 'Whether clients need a certificate of one of the authorities; with optional they may come without, but not with a bad one.' -r -f -a "no\t''
yes\t''
optional\t''"
complete -c rivulet-sentinel -l tls-auth-clients-user -d 'Log clients in as the user whose name is the common name of their certificate; whose certificate names nobody stays who it was.' -r -f -a "off\t''
CN\t''"
complete -c rivulet-sentinel -l tls-replication -d 'Reach the master over TLS.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l tls-cluster -d 'The cluster\'s bus runs over TLS, and MIGRATE reaches other servers by it.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l tls-protocols -d 'Versions of TLS between spaces, TLSv1.2 and TLSv1.3; empty is both.' -r
complete -c rivulet-sentinel -l tls-ciphers -d 'Ciphers of TLS 1.2 as OpenSSL names and selects them; those without forward secrecy and those of CBC are not supported.' -r
complete -c rivulet-sentinel -l tls-ciphersuites -d 'Ciphers of TLS 1.3 by name, between colons.' -r
complete -c rivulet-sentinel -l tls-prefer-server-ciphers -d 'The server\'s order of ciphers counts.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l tls-session-caching -d 'Keep sessions for clients that return.' -r -f -a "yes\t''
no\t''"
complete -c rivulet-sentinel -l tls-session-cache-size -d 'Sessions that are kept; 0 is any number.' -r
complete -c rivulet-sentinel -l tls-session-cache-timeout -d 'Seconds for which they are kept.' -r
complete -c rivulet-sentinel -s h -l help -d 'Show how the program is called.'
complete -c rivulet-sentinel -s v -l version -d 'Show the version.'
