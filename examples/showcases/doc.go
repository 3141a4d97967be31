// Package showcases has interceptors of well-known services, built with Hauberk in own words.
// docs/showcases.md compares them with the originals.
package showcases
