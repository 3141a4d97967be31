package main

import "regexp"

// place is where a rule looks. Values can be combined.
type place int

const (
	inGoText place = 1 << iota // comments and string literals of Go files
	inPlain                    // other files
	inNames                    // exported identifiers of Go files

	inText = inGoText | inPlain
)

// rule describes words to avoid.
type rule struct {
	name  string // for lists of rules
	want  string
	where place
	match *regexp.Regexp // the words; each run of white space is one space
	// except matches the uses that are right. A match of the rule that overlaps one is not reported.
	except *regexp.Regexp
	// near matches words whose presence within 80 bytes makes a use right.
	near *regexp.Regexp
}

func text(name, match, want string) rule {
	return rule{name: name, want: want, where: inText, match: words(match)}
}

func (r rule) but(except string) rule {
	r.except = words(except)
	return r
}

func (r rule) unlessNear(near string) rule {
	r.near = words(near)
	return r
}

func (r rule) in(where place) rule {
	r.where = where
	return r
}

// words compiles a pattern that matches whole words of any case.
func words(pattern string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(?:` + pattern + `)\b`)
}

// rules is the list of words, in the order of the table that CONTRIBUTING.md describes.
//
//nolint:gochecknoglobals // the program's one table
var rules = []rule{
	text("link", `links?`, "interceptor").in(inGoText).
		unlessNear(`spans?|trac(e|es|ing)|https?|urls?|symlinks?|symbolic|hard|hyperlinks?|markdown|html|` +
			`dashboards?|documents?|docs|pages?|binary|binaries|linker|ldflags|programs?|packages?|modules?|` +
			`dependenc\w+`),

	text("further in, further out", `further (in|out|inside|outside)`, "inner, outer"),
	text("stands", `stands?|stood|standing`, "runs, is, or the verb for what happens").
		but(`stand-ins?|stand-alone|long-standing|standing orders?`),

	text("has Y counted", `(has|have|had|having|lets?) (the|an?|its|their|each|every|all|what) (\w+ ){1,4}`+
		`(told|counted|called|made|logged|recorded|checked|opened) (by|with|through)`,
		"uses, calls or counts, with the actor as the subject"),

	text("told, tells", `tell|tells|told|telling`, "returns, reports, records, logs, receives, distinguishes"),
	text("says of", `(say|says|said|saying) of`, "reports, records, returns for"),

	text("beside", `besides?`, "concurrently with, as well as, next to, in addition to, except"),

	// "of its own call" is right; "a call of its own" is not.
	{
		name: "of its own", want: "separate, or own before the noun", where: inText,
		match: regexp.MustCompile(`(?i)\bof (?:its|their|our|his|her|my|your|one's|[a-z]+'s) own` +
			`(?:[^\w\s-]|\s*$| (?:and|as|at|below|but|by|for|from|has|have|if|in|is|are|of|on|or|so|that|then|to|` +
			`under|when|where|which|while|with)\b)`),
	},

	text("not to be changed", `(is|are|was|were|which|that) not to be`, "must not be"),

	text("whatever", `whatever|whoever`, "any, each, or name the cases"),
	text("however it does", `however (it|they|he) (do|does|did)`, "however it ends"),

	text("strangers", `strangers?`, "untrusted callers"),
	text("nobody, somebody", `nobody|somebody|everybody|anybody`, "no one, a caller, everyone, anyone"),
	text("who", `(those|ones?|callers?|clients?|servers?|it|he) who|whom`, "callers, or a condition with if"),
	text("he, his", `he|she|his|him|hers|himself`, "it, its, the caller, the user"),

	text("refuse, refusal", `refus\w*`, "reject, rejection").
		but(`connections? (is |was |were |are )?refused|refused connections?|REFUSED_STREAM|refused streams?`),
	{
		name: "Refuse… in names", want: "reject, rejection", where: inNames,
		match:  regexp.MustCompile(`Refus(?:e|ed|es|al|als|ing)(?:$|[A-Z])`),
		except: regexp.MustCompile(`RefusedStream`),
	},

	// "On the wire" and "over the wire" are right for bytes, and so are names of what is encoded.
	text("the wire", `the wire`, "the RPC, the transport, the stream, the network").
		but(`(on|over) the wire|the wire('s)? (formats?|types?|encoding|sizes?|protocol|bytes|form|names?|values?)`),

	text("dear", `dear(er|est|ly)?`, "expensive"),
	text("let go", `let(s|ting)? (it |them |him )?go( of)?`, "discarded, released"),
	text("put down", `put(s|ting)? (it |them )?down`, "written, recorded"),
	text("taken for", `taken for|takes? (it|them|one|this|that) for`, "mistaken for, treated as").
		but(`(time|snapshots?|seconds|bytes|profiles?) (is |was |are |were |it has )?taken for`),
	text("makes place", `(make|makes|made|making) place`, "is replaced"),

	text("by choice", `by choice`, "optionally"),
	text("what is there", `what (stands|stood|(is|was|has been) there|there (is|was|are|were)|was (before|left))`,
		"the name of the thing"),

	text("trusted hops", `trusted.?hops`, "trusted proxies"),
	{name: "TrustedHops in names", want: "TrustedProxies", where: inNames, match: regexp.MustCompile(`TrustedHops`)},
	{
		name: "Together as a name", want: "Global", where: inText,
		match: regexp.MustCompile(`\.Together\b|\[Together\]|\bTogether (is|means|says)\b|\btogether: (true|false)`),
	},
	{name: "Together in names", want: "Global", where: inNames, match: regexp.MustCompile(`^Together$|Together[A-Z]`)},
}
