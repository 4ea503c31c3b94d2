# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_rivulet_cli_global_optspecs
    string join \n p= t= a/pass= user= askpass u= r= i= n= 2 3 x X= d= D= c e 4 6 tls insecure tls-ciphers= tls-ciphersuites= raw no-raw quoted-input csv json quoted-json show-pushes= stat latency latency-history latency-dist mono lru-test= replica pipe pipe-timeout= bigkeys memkeys memkeys-samples= keystats keystats-samples= cursor= top= hotkeys scan pattern= count= quoted-pattern= intrinsic-latency= ldb ldb-sync-mode cluster= cluster-only-masters cluster-only-replicas verbose no-auth-warning help v/version h= s= sni= cacert= cacertdir= cert= key= rdb= functions-rdb= eval=
end

function __fish_rivulet_cli_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_rivulet_cli_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_rivulet_cli_using_subcommand
    set -l cmd (__fish_rivulet_cli_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s p -d 'The server\'s port (default: 6379).' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s t -d 'How long connecting may take; parts of a second may be given.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s a -l pass -d 'The password. It is safer in the environment, as REDISCLI_AUTH.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l user -d 'The user, together with a password.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s u -d 'The server as redis://user:password@host:port/db, rediss:// with TLS, or unix:///path?db=N.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s r -d 'Run the command so many times; without end if negative.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s i -d 'Wait so long between runs (-r), between pages (--scan), lines (--stat), or every 100 pages (--bigkeys and the like).' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s n -d 'The number of the database.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s X -d 'The argument that is this word is what standard input holds.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s d -d 'What stands between the elements of a raw reply (default: \\n).' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s D -d 'What follows a raw reply (default: \\n).' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l tls-ciphers -d 'Suites of TLS 1.2, in OpenSSL\'s language.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l tls-ciphersuites -d 'Suites of TLS 1.3, between colons.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l show-pushes -d 'Whether what the server says unasked is shown (default: on a terminal).' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l lru-test -d 'Run a cache\'s load of so many keys, of which a fifth has four fifths of it.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l pipe-timeout -d 'How long --pipe waits for the last replies (default: 30); 0 is without end.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l memkeys-samples -d 'As --memkeys, with so many elements of each value looked at.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l keystats-samples -d 'As --keystats, with so many elements of each value looked at.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l cursor -d 'Where --keystats goes on, after it was interrupted.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l top -d 'So many keys --keystats shows (default: 10).' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l pattern -d 'Which keys --scan, --bigkeys and the like look at (default: *).' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l count -d 'How many keys a page has, about (default: 10).' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l quoted-pattern -d 'As --pattern, in quotes, with escapes.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l intrinsic-latency -d 'Measure for so long how the system keeps this process waiting.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l cluster -d 'Something about a cluster\'s nodes; `--cluster help` lists what.' -r
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s h -d 'The server\'s host (default: 127.0.0.1).' -r -f -a "(__fish_print_hostnames)"
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s s -d 'A socket of this machine, instead of host and port.' -r -F
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l sni -d 'The name of the host that the server is told.' -r -f -a "(__fish_print_hostnames)"
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l cacert -d 'A file with the certificates of authorities that are trusted.' -r -F
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l cacertdir -d 'A directory of such files. Without either, the authorities of this machine count.' -r -f -a "(__fish_complete_directories)"
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l cert -d 'The certificate that is shown to the server.' -r -F
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l key -d 'The key of that certificate.' -r -F
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l rdb -d 'Fetch a snapshot into a file; - is standard output.' -r -F
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l functions-rdb -d 'As --rdb, with the functions and without the keys.' -r -F
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l eval -d 'Run the Lua script of a file: keys, a comma between spaces, and arguments follow.' -r -F
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l askpass -d 'Ask for the password; -a and REDISCLI_AUTH do not count then.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s 2 -d 'Begin in RESP2.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s 3 -d 'Begin in RESP3.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s x -d 'The last argument is what standard input holds.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s c -d 'Follow a cluster\'s redirections.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s e -d 'Fail when the reply is an error, and say it on standard error.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s 4 -d 'Of a host\'s addresses try those of IPv4 first.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s 6 -d 'Of a host\'s addresses try those of IPv6 first.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l tls -d 'Speak TLS.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l insecure -d 'Take any certificate.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l raw -d 'Show replies as they are (the default unless standard output is a terminal).'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l no-raw -d 'Show replies for a reader, also where there is no terminal.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l quoted-input -d 'Arguments are in quotes, with escapes.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l csv -d 'Show replies as CSV.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l json -d 'Show replies as JSON; asks for RESP3, unless -2 is given.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l quoted-json -d 'As --json, with escapes for all but ASCII.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l stat -d 'A line of figures every second: keys, memory, clients, requests.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l latency -d 'Measure how long a PING takes: without end on a terminal, otherwise for a second (-i).'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l latency-history -d 'As --latency, a line every 15 seconds (-i).'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l latency-dist -d 'Latency as a spectrum in 256 colours, a line every second (-i).'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l mono -d 'Shades of grey for --latency-dist.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l replica -l slave -d 'Show the stream that a replica is sent.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l pipe -d 'Send standard input as it is, and count the replies.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l bigkeys -d 'Look for the keys with the most elements of each type.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l memkeys -d 'Look for the keys with the most memory of each type.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l keystats -d 'Both of them, with the distribution of sizes and lengths.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l hotkeys -d 'Look for the keys that are used most; needs a maxmemory-policy with LFU.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l scan -d 'List all keys.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l ldb -d 'Debug the script of --eval, if the server has a debugger.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l ldb-sync-mode -d 'As --ldb, with what the script writes kept.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l cluster-only-masters -d '`--cluster call` asks masters alone.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l cluster-only-replicas -d '`--cluster call` asks replicas alone.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l verbose -d 'Say more.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l no-auth-warning -d 'Don\'t warn of a password in the command line.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -l help -d 'Show this.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -s v -l version -d 'Show the version.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -a "top" -d 'The replication around the server, as it changes.'
complete -c rivulet-cli -n "__fish_rivulet_cli_needs_command" -a "rdb" -d 'What a snapshot holds.'
complete -c rivulet-cli -n "__fish_rivulet_cli_using_subcommand top" -l json
complete -c rivulet-cli -n "__fish_rivulet_cli_using_subcommand top" -l once
complete -c rivulet-cli -n "__fish_rivulet_cli_using_subcommand rdb" -l depth -r
complete -c rivulet-cli -n "__fish_rivulet_cli_using_subcommand rdb" -l top -r
complete -c rivulet-cli -n "__fish_rivulet_cli_using_subcommand rdb" -l separator -r
complete -c rivulet-cli -n "__fish_rivulet_cli_using_subcommand rdb" -l json
