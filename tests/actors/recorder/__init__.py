"""What a recorder does, told what happens and over real sockets and files."""
