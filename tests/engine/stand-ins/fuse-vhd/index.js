export const mount = async () => {
  throw new Error('fuse-vhd is not part of these tests')
}
