from dtios.cli import main

main()
