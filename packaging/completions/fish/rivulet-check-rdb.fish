complete -c rivulet-check-rdb -s h -l help -d 'Show how the program is called.'
complete -c rivulet-check-rdb -s v -l version -d 'Show the version.'
