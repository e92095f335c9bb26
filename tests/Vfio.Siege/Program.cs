using Vfio.Siege;

return args switch
{
    ["client", var act, var path, var sign] when Enum.TryParse(act, ignoreCase: true, out ClientAct known) => DoomedClient.Run(known, path, sign),
    ["sandbox", var folder] => SandboxProbe.Run(folder),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("usage: Vfio.Siege client ACT SOCKET SIGN | sandbox FOLDER");
    return 2;
}
