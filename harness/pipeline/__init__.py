"""All stages in order, a module for each use case: the only package that knows them all.

``run`` tells the whole story on one page. Import the module of a use case: it loads only what that one needs.
"""
