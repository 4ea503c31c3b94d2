complete -c rivulet-check-aof -l truncate-to-timestamp -d 'Cut the file before a time.' -r
complete -c rivulet-check-aof -s h -l help -d 'Show how the program is called.'
complete -c rivulet-check-aof -s v -l version -d 'Show the version.'
complete -c rivulet-check-aof -l fix -d 'Cut the file where it is no longer sound.'
