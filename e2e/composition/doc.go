// Package composition tests the interceptors of a client together: the orders that docs/production.md teaches, what
// holds in them, and what goes wrong in others. It contains only tests.
package composition
