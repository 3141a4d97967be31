package recovery

import "strings"

// frame is one frame of a stack in the format of runtime/debug.Stack.
type frame struct {
	text     string // both lines
	function string // "example.com/shop/cart.(*Cart).Get"
	file     string // "/src/shop/cart.go"
	line     string // "/src/shop/cart.go:42"
	creates  bool   // it is the frame that started the goroutine
}

// cutStack returns the frames of a stack that belong to the program, and the place of the
// panic: line and function of the first of them. The runtime, grpc-go and Hauberk do not
// belong to the program. Frames of the standard library stay, but are not the place, so
// that it is the same for all panics of one statement of the program. If no frame belongs
// to the program, the stack stays whole.
func cutStack(stack string) (own, at string) {
	frames := framesOf(stack)
	root, _, _ := strings.Cut(sourceOf(frames, "runtime/debug.Stack"), "runtime/debug/")
	var b strings.Builder
	first := ""
	for _, f := range afterPanic(frames) {
		if f.isForeign() {
			continue
		}
		b.WriteString(f.text)
		if first == "" {
			first = f.place()
		}
		if at == "" && !f.creates && !f.isStandard(root) {
			at = f.place()
		}
	}
	switch {
	case b.Len() == 0:
		return stack, ""
	case at == "":
		at = first
	}
	return b.String(), at
}

// framesOf returns the frames of a stack: pairs of lines, of which the second one is
// indented.
func framesOf(stack string) []frame {
	var list []frame
	previous := ""
	for line := range strings.Lines(stack) {
		if source, ok := strings.CutPrefix(line, "\t"); ok && previous != "" {
			list = append(list, newFrame(previous, source, line))
			line = ""
		}
		previous = line
	}
	return list
}

func newFrame(name, source, line string) frame {
	f := frame{text: name + line, function: strings.TrimSpace(name)}
	if creator, ok := strings.CutPrefix(f.function, "created by "); ok {
		f.function, _, _ = strings.Cut(creator, " in goroutine ")
		f.creates = true
	} else if i := strings.LastIndexByte(f.function, '('); i >= 0 {
		f.function = f.function[:i]
	}
	f.line, _, _ = strings.Cut(strings.TrimSpace(source), " +0x")
	f.file = f.line[:max(strings.LastIndexByte(f.line, ':'), 0)]
	return f
}

// sourceOf returns the file of a function, or "".
func sourceOf(frames []frame, function string) string {
	for _, f := range frames {
		if f.function == function {
			return f.file
		}
	}
	return ""
}

// afterPanic returns the frames of the code that panicked or ended its goroutine, without
// those of deferred functions that ran then.
func afterPanic(frames []frame) []frame {
	for i, f := range frames {
		if f.function == "panic" || f.function == "runtime.Goexit" {
			return frames[i+1:]
		}
	}
	return frames
}

func (f *frame) place() string { return f.line + " " + f.function }

// isForeign reports whether a frame belongs to the runtime, to grpc-go or to Hauberk.
func (f *frame) isForeign() bool {
	if strings.HasPrefix(f.function, "runtime.") || strings.HasPrefix(f.function, "runtime/") || f.function == "panic" {
		return true
	}
	if rest, ok := strings.CutPrefix(f.function, "google.golang.org/grpc"); ok {
		return rest != "" && (rest[0] == '.' || rest[0] == '/')
	}
	rest, ok := strings.CutPrefix(f.function, "github.com/hauberk-rpc/hauberk")
	return ok && isLibrary(rest) && !strings.HasSuffix(f.file, "_test.go")
}

// isLibrary reports whether a function of Hauberk's module is not one of its programs. It
// is given the rest of the name after the module.
func isLibrary(rest string) bool {
	if strings.HasPrefix(rest, ".") {
		return true
	}
	dir, _, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	dir, _, _ = strings.Cut(dir, ".")
	switch dir {
	case "future", "gateway", "hauberktest", "interceptors", "internal", "policy", "console":
		return true
	default:
		return false
	}
}

// isStandard reports whether a frame belongs to the standard library. root is the
// directory of its sources, or "" if the program was built with -trimpath: then files are
// named after their packages, and only other modules have a dot in the first element.
func (f *frame) isStandard(root string) bool {
	if root != "" {
		return strings.HasPrefix(f.file, root)
	}
	first, _, _ := strings.Cut(f.file, "/")
	return first != "" && !strings.Contains(first, ".") && !strings.HasPrefix(f.function, "main.")
}
