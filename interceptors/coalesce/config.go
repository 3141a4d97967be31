package coalesce

// Config holds the settings of [New]. The zero value coalesces methods without side effects.
type Config struct {
	// Methods are patterns of methods that are coalesced as well as those without side effects.
	Methods []string
	// Metadata are keys of request metadata on whose values answers depend, such as
	// "accept-language".
	Metadata []string
	// AcrossIdentities shares flights between callers.
	AcrossIdentities bool
}
