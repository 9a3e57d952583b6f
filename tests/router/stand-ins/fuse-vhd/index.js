export const mount = async () => { throw new Error('fuse-vhd: not needed here') }
