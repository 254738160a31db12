# What may stand next on a command line of ours: a line "WORD<Tab>MEANING" each, or the one line "<Tab>files".
# The shell calls this on Tab. It reads files alone, so that it is fast and needs no agent.
#
# AGENTMESH_WORDS: the words so far, the last being completed, joined by the unit separator.
# AGENTMESH_TABLE: lines of five fields, joined by tabs; `agentmesh completion` makes them:
#   COMMAND<Tab>command<Tab>NAME<Tab><Tab>MEANING
#   COMMAND<Tab>option<Tab>--NAME<Tab>KIND of its value, if it takes one<Tab>MEANING
#   COMMAND<Tab>argument<Tab>+ if it may be repeated<Tab>KIND<Tab>

BEGIN {
    home = ENVIRON["AGENTMESH_HOME"] ? ENVIRON["AGENTMESH_HOME"] : ENVIRON["HOME"] "/.agents"
    read_table()
    current = find_place()
    if (awaited)
        offer(awaited)
    else if (current ~ /^-/ && !ended)
        offer_named("option")
    else {
        offer_named("command")
        offer(argument[place, repeats[place] && given >= arguments[place] ? arguments[place] : given + 1])
    }
}

function read_table(    row, field, rows, i) {
    rows = split(ENVIRON["AGENTMESH_TABLE"], row, "\n")
    for (i = 1; i <= rows; i++) {
        split(row[i], field, "\t")
        if (field[2] == "argument") {
            argument[field[1], ++arguments[field[1]]] = field[4]
            repeats[field[1]] = field[3] == "+"
            continue
        }
        names[field[1], field[2], ++count[field[1], field[2]]] = field[3]
        meaning[field[1], field[2], field[3]] = field[5]
        value[field[1], field[2], field[3]] = field[4]
    }
}

# Walk over the words before the last: which command they name, how many arguments it has, which value is awaited.
function find_place(    word, words, i) {
    words = split(ENVIRON["AGENTMESH_WORDS"], word, "\037")
    place = word[1]
    for (i = 2; i < words; i++) {
        if (awaited)
            awaited = ""
        else if (word[i] == "--" && !ended)
            ended = 1
        else if (word[i] ~ /^-./ && !ended)
            awaited = value[place, "option", word[i]]
        else if ((place, "command", word[i]) in meaning) {
            place = place " " word[i]
            given = 0
        } else
            given++
    }
    return word[words]
}

function offer_named(what,    i) {
    for (i = 1; i <= count[place, what]; i++)
        print names[place, what, i] "\t" meaning[place, what, names[place, what, i]]
}

function offer(kind,    line, choice, choices, i) {
    gsub(/^\[|\]$/, "", kind)
    if (kind == "ADDRESS")
        offer_addresses()
    else if (kind == "PEER")
        offer_words(home "/peers.conf", "")
    else if (kind == "ALIAS")
        offer_words(ENVIRON["HOME"] "/.ssh/config", "host")
    else if (kind == "JOB")
        offer_jobs()
    else if (kind == "REVIEW")
        while (("ls \"${AGENTMESH_HOME:-$HOME/.agents}/reviews\" 2>/dev/null" | getline line) > 0)
            print line "\t"
    else if (kind == "SESSION")
        while (("tmux list-sessions -F '#{session_name}' 2>/dev/null" | getline line) > 0)
            print line "\t"
    else if (kind == "PATH")
        print "\tfiles"
    else if (kind ~ /\|/) {
        choices = split(kind, choice, "|")
        for (i = 1; i <= choices; i++)
            print choice[i] "\t"
    }
}

# The home of a job keeps job.json as the job is, indented, a field a line, in this order.
function offer_jobs(    line, key, id, title, wanted) {
    wanted = place ~ / retry$/ ? "^(completed|error|cancelled|expired)$" : "^(registered|claimed|started)$"
    while (("grep -hE '^  \"(id|title|state)\":' \"${AGENTMESH_HOME:-$HOME/.agents}\"/jobs/*/job.json 2>/dev/null" | getline line) > 0) {
        match(line, /": /)
        key = substr(line, 4, RSTART - 4)
        sub(/,$/, "", line)
        line = unquoted(substr(line, RSTART + 3))
        if (key == "id")
            id = line
        else if (key == "title")
            title = line
        else if (line ~ wanted)
            print id "\t" title
    }
}

# The words of a file's lines without its comments and patterns; of the lines alone that begin with a word, if one is given.
function offer_words(file, first,    line, word, words, i) {
    while ((getline line < file) > 0) {
        sub(/#.*/, "", line)
        words = split(line, word, /[ \t=]+/)
        i = word[1] == "" ? 2 : 1
        if (first != "" && tolower(word[i++]) != first)
            continue
        for (; i <= words; i++)
            if (word[i] !~ /[*?!]/ && word[i] != "")
                print word[i] "\t"
    }
}

# The agent keeps registry.toml as the mesh is; a block "[agents.ADDRESS]" each, then lines 'KEY = "TEXT"'.
function offer_addresses(    line, key, address, text, told) {
    while ((getline line < (home "/registry.toml")) > 0) {
        if (line ~ /^\[/) {
            offer_address(address, told)
            address = ""
            if (line ~ /^\[agents\./)
                address = unquoted(substr(line, 9, length(line) - 9))
            told["handle"] = told["role"] = told["scope"] = told["host"] = ""
        } else if (match(line, / = /)) {
            key = substr(line, 1, RSTART - 1)
            text = unquoted(substr(line, RSTART + 3))
            if (address && (key in told))
                told[key] = text
        }
    }
    offer_address(address, told)
    if (current ~ /(^|,)@/)
        print "@all\tevery pane of the mesh"
}

function offer_address(address, told,    meant) {
    if (!address)
        return
    meant = told["role"] (told["role"] && told["scope"] ? ": " : "") told["scope"]
    print address "\t" meant
    if (told["handle"])
        print told["handle"] "\t" meant
    if (current !~ /(^|,)@/)
        return
    offer_once("@role:" told["role"], told["role"])
    offer_once("@host:" told["host"], told["host"])
}

function offer_once(word, name) {
    if (name != "" && name !~ /[ \t,'"\\]/ && !offered[word]++)
        print word "\t"
}

function unquoted(text) {
    gsub(/^"|"$/, "", text)
    gsub(/\\./, " ", text)
    return text
}
